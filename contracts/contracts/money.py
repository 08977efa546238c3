"""Money on the wire and in minor units."""

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Context, Decimal
from functools import cache, lru_cache
from typing import Annotated, Any, Literal, Self

from iso4217 import Currency as IsoCurrency
from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, StringConstraints
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

MINOR_UNITS_MAX = 2**63 - 1
AMOUNTS_KEPT_MAX = 8192
"""Amounts are kept once said: an order, its decision and its entry say most of theirs several times."""

_DECIMALS = {currency.code: currency.exponent for currency in IsoCurrency if currency.exponent is not None}
_EXACT = Context(prec=60)

UNSIGNED_DECIMAL = r"^(0|[1-9][0-9]{0,13})(\.[0-9]{1,4})?$"
SIGNED_DECIMAL = r"^-?(0|[1-9][0-9]{0,13})(\.[0-9]{1,4})?$"


class UnknownCurrency(ValueError):
    """A currency code that ISO 4217 does not list."""

    def __init__(self, currency: str) -> None:
        self.currency = currency
        super().__init__(f"{currency!r} is not a currency of ISO 4217")


class TooManyDecimals(ValueError):
    """An amount with more decimals than its currency has."""

    def __init__(self, amount: str, currency: str) -> None:
        self.amount = amount
        self.currency = currency
        super().__init__(f"{amount} has more than the {decimals(currency)} decimals of {currency}")


def decimals(currency: str) -> int:
    """Decimals of a currency's minor unit (ISO 4217): 0 for JPY, 2 for CNY, 3 for KWD."""
    places = _DECIMALS.get(currency)
    if places is None:
        raise UnknownCurrency(currency)
    return places


@lru_cache(maxsize=AMOUNTS_KEPT_MAX)
def minor_units(amount: str, currency: str) -> int:
    """Integer minor units of a decimal string: `minor_units("12.50", "CNY") == 1250`."""
    whole, _, fraction = amount.partition(".")
    places = decimals(currency)
    if len(fraction) > places:
        raise TooManyDecimals(amount, currency)
    return int(whole + fraction + "0" * (places - len(fraction)))


def decimal_string(minor: int, currency: str) -> str:
    """The decimal string of integer minor units: `decimal_string(1250, "CNY") == "12.50"`."""
    places = decimals(currency)
    if places == 0:
        return str(minor)
    digits = str(minor) if minor >= 0 else str(-minor)
    if len(digits) <= places:
        digits = digits.rjust(places + 1, "0")
    return f"{'-' if minor < 0 else ''}{digits[:-places]}.{digits[-places:]}"


def round_half_up(value: Decimal, currency: str) -> int:
    """Minor units of an exact decimal, halves away from zero."""
    minor = value.scaleb(decimals(currency), _EXACT)
    return int(minor.quantize(Decimal(1), ROUND_HALF_UP, _EXACT))


@lru_cache(maxsize=AMOUNTS_KEPT_MAX)
def _said(kind: Any, minor: int, currency: str) -> Any:  # Any: Money or SignedMoney
    return kind(decimal_string(minor, currency), currency)


@dataclass(frozen=True, slots=True)
class Money:
    """An amount of at least zero with its currency: `{"amount": "12.50", "currency": "CNY"}`."""

    amount: Annotated[str, StringConstraints(pattern=UNSIGNED_DECIMAL)]
    currency: Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]

    @property
    def minor(self) -> int:
        return minor_units(self.amount, self.currency)

    @classmethod
    def of(cls, minor: int, currency: str) -> Self:
        said: Self = _said(cls, minor, currency)  # type: ignore[arg-type]  # a class is hashable
        return said


@dataclass(frozen=True, slots=True)
class SignedMoney:
    """An amount that may be below zero, such as a change or a used credit."""

    amount: Annotated[str, StringConstraints(pattern=SIGNED_DECIMAL)]
    currency: Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]

    @property
    def minor(self) -> int:
        return minor_units(self.amount, self.currency)

    @classmethod
    def of(cls, minor: int, currency: str) -> Self:
        said: Self = _said(cls, minor, currency)  # type: ignore[arg-type]  # a class is hashable
        return said


@dataclass(frozen=True, slots=True)
class Exact:
    """Validates an amount by its own currency's number of decimals, inside the validator's compiled code.

    A union tagged by currency does in one step what a Python function per amount does at twice the price;
    the plain model behind it keeps serialization and JSON Schema to one definition.
    """

    sign: Literal["", "-?"]

    def __get_pydantic_core_schema__(self, source: type[Any], handler: GetCoreSchemaHandler) -> CoreSchema:
        models = {
            places: handler.generate_schema(_variant(source, self.sign, places))  # type: ignore[arg-type]  # a class is hashable
            for places in set(_DECIMALS.values())
        }
        by_currency = core_schema.tagged_union_schema(
            {currency: models[places] for currency, places in _DECIMALS.items()},
            discriminator="currency",
            custom_error_type="currency",
            custom_error_message="currency must be a code of ISO 4217 that has minor units",
        )
        return core_schema.chain_schema([by_currency, handler(source)])

    def __get_pydantic_json_schema__(
        self, schema: core_schema.ChainSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return handler(schema["steps"][-1])


@cache
def _variant(model: type[Any], sign: str, places: int) -> type[Any]:
    """A type that validates as `model` of so many decimals; pydantic builds it once per event, not per currency."""
    fraction = rf"(\.[0-9]{{1,{places}}})?" if places else ""
    amount = core_schema.str_schema(pattern=rf"^{sign}(0|[1-9][0-9]{{0,13}}){fraction}$")
    fields = [
        core_schema.dataclass_field("amount", amount),
        core_schema.dataclass_field("currency", core_schema.str_schema()),
    ]
    schema = core_schema.dataclass_schema(
        model,
        core_schema.dataclass_args_schema(model.__name__, fields),
        ["amount", "currency"],
        ref=f"{model.__name__}.{places}",
        slots=True,
        frozen=True,
    )
    return type(
        f"{model.__name__}{places}", (), {"__get_pydantic_core_schema__": classmethod(lambda *_: schema)}
    )


Amount = Annotated[Money, Exact(sign="")]
SignedAmount = Annotated[SignedMoney, Exact(sign="-?")]
