"""Invoicing of an account: titles, mailing addresses, e-mail; its own, or copied live from its management account."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from sharing.domain.relationships import InvoiceStatus, Relationship
from sharing.domain.tax_ids import WrongTaxId, unified_social_credit_code

TITLES_MAX: Final = 20
ADDRESSES_MAX: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Title:
    """Whom an invoice is made out to; every title but an individual's has a tax id."""

    title_type: Literal["individual", "enterprise", "organisation"]
    name: str
    tax_id: str | None = None
    bank_name: str | None = None
    bank_account: str | None = None
    registered_address: str | None = None
    phone: str | None = None
    is_default: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where an invoice on paper goes."""

    recipient: str
    address: str
    phone: str | None = None
    postal_code: str | None = None
    is_default: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Invoicing:
    """Everything that an account's invoices need."""

    titles: tuple[Title, ...] = ()
    addresses: tuple[Address, ...] = ()
    email: str | None = None

    @property
    def title(self) -> Title | None:
        """The default title, else the first."""
        return next((each for each in self.titles if each.is_default), next(iter(self.titles), None))


@dataclass(frozen=True, slots=True, kw_only=True)
class StandingInvoicing:
    """An account's invoicing as it stands: `invoicing` is what counts, its own or the copied one."""

    account: str
    version: int
    invoicing: Invoicing
    copied_from: str | None = None

    @property
    def status(self) -> InvoiceStatus:
        if self.copied_from is not None:
            return "copied"
        return "own" if self.invoicing != Invoicing() else "none"


class InvoicingError(Exception):
    """Why invoicing cannot be set as asked: `reason` is stable, `field` offends, `message` completes it."""

    def __init__(self, reason: str, field: str, message: str) -> None:
        self.reason = reason
        self.field = field
        self.message = message
        super().__init__(f"{field} {message}")


def checked(invoicing: Invoicing) -> Invoicing:
    """The invoicing with its tax ids in their written form.

    Errors: InvoicingError.
    """
    _require_one_default([each.is_default for each in invoicing.titles], "titles")
    _require_one_default([each.is_default for each in invoicing.addresses], "addresses")
    titles = tuple(_checked_title(each, f"titles[{at}]") for at, each in enumerate(invoicing.titles))
    return Invoicing(titles=titles, addresses=invoicing.addresses, email=invoicing.email)


def _require_one_default(defaults: Sequence[bool], field: str) -> None:
    if sum(defaults) > 1:
        second = [at for at, each in enumerate(defaults) if each][1]
        raise InvoicingError(
            "two-defaults", f"{field}[{second}].is_default", "must not be true: one before it is"
        )


def _checked_title(title: Title, field: str) -> Title:
    if title.tax_id is None:
        if title.title_type != "individual":
            raise InvoicingError(
                "tax-id-missing", f"{field}.tax_id", f"is required for an {title.title_type}"
            )
        return title
    try:
        return replace(title, tax_id=unified_social_credit_code(title.tax_id))
    except WrongTaxId as wrong:
        raise InvoicingError("wrong-tax-id", f"{field}.tax_id", str(wrong)) from None


def require_own(standing: StandingInvoicing, field: str = "account") -> None:
    """Errors: InvoicingError, while the invoicing is copied and so read-only."""
    if standing.copied_from is not None:
        raise InvoicingError(
            "invoicing-copied",
            field,
            "copies its management account's invoicing; end the copy before changing it",
        )


def require_managed(members: Sequence[str], relationships: Mapping[str, Relationship]) -> None:
    """Errors: InvoicingError, for the first member that has not accepted that its invoicing is managed."""
    for at, member in enumerate(members):
        found = relationships.get(member)
        if found is None or not found.manages_invoices:
            raise InvoicingError(
                "invoices-not-managed",
                f"accounts[{at}]",
                f"{member} has not accepted that you manage its invoices",
            )
