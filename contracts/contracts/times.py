"""Dates and moments on the wire: RFC 3339 strings only.

pydantic alone also takes numbers and strings of digits for unix timestamps; a pattern in front closes that.
Years 1900 to 8999, so that adding a term or changing the offset never leaves the calendar.
"""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated, Any, Literal

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

DATE = r"(19|[2-8][0-9])[0-9]{2}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
TIME = r"([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,9})?"
OFFSET = r"(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])"


@dataclass(frozen=True, slots=True)
class Rfc3339:
    """Lets a date or datetime in from a string of one pattern and from nothing else."""

    format: Literal["date", "date-time"]
    pattern: str

    def __get_pydantic_core_schema__(self, source: type[Any], handler: GetCoreSchemaHandler) -> CoreSchema:
        text = core_schema.str_schema(pattern=self.pattern, strict=True)
        return core_schema.chain_schema([text, handler(source)])

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {"type": "string", "format": self.format, "pattern": self.pattern}


CalendarDate = Annotated[date, Rfc3339("date", f"^{DATE}$")]
Moment = Annotated[datetime, Rfc3339("date-time", f"^{DATE}T{TIME}{OFFSET}$")]
