"""Whole numbers on the wire: written without fraction, exponent or quotes, and exact in every JSON reader."""

from typing import Annotated

from pydantic import Field

SAFE_INTEGER_MAX = 2**53 - 1
REVISION_MAX = 1_000_000
VERSION_MAX = 2**31 - 1

Revision = Annotated[int, Field(ge=1, le=REVISION_MAX, strict=True)]
Version = Annotated[int, Field(ge=1, le=VERSION_MAX, strict=True)]
Counter = Annotated[int, Field(ge=1, le=SAFE_INTEGER_MAX, strict=True)]
Count = Annotated[int, Field(ge=0, le=SAFE_INTEGER_MAX, strict=True)]
