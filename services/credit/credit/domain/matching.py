"""Which credit profiles a document hits: three scopes by eight objects."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

from credit.domain.documents import Parties

GROUP_SCOPE: Final = "group"
LEGAL_SCOPE: Final = "legal"
BUSINESS_SCOPE: Final = "business"
WHOLE_GROUP: Final = "*"
SCOPES: Final = (GROUP_SCOPE, LEGAL_SCOPE, BUSINESS_SCOPE)

CUSTOMER: Final = "customer"
CUSTOMER_GROUP: Final = "customer-group"
CUSTOMER_MATERIAL: Final = "customer-material"
CUSTOMER_MATERIAL_GROUP: Final = "customer-material-group"
SALESPERSON: Final = "salesperson"
SALES_GROUP: Final = "sales-group"
SALES_DEPARTMENT: Final = "sales-department"
SALES_ORGANISATION: Final = "sales-organisation"
OBJECTS: Final = (
    CUSTOMER,
    CUSTOMER_GROUP,
    CUSTOMER_MATERIAL,
    CUSTOMER_MATERIAL_GROUP,
    SALESPERSON,
    SALES_GROUP,
    SALES_DEPARTMENT,
    SALES_ORGANISATION,
)
MATERIAL_OBJECTS: Final = (CUSTOMER_MATERIAL, CUSTOMER_MATERIAL_GROUP)

ID_CHARACTERS_MAX: Final = 128
DIGEST_BYTES: Final = 16

ObjectKey = tuple[str, str]
"""Object type and id."""


def pair(customer: str, material: str) -> str:
    """The id of a customer with a material, or with a material group: `C-1/M-1`, shortened by a digest where long."""
    joined = "/".join(part.replace("%", "%25").replace("/", "%2F") for part in (customer, material))
    if len(joined) <= ID_CHARACTERS_MAX:
        return joined
    digest = blake2b(joined.encode(), digest_size=DIGEST_BYTES).hexdigest()
    return f"{joined[: ID_CHARACTERS_MAX - len(digest) - 1]}~{digest}"


def party_objects(parties: Parties, groups: Iterable[str] = ()) -> Iterator[ObjectKey]:
    """The objects that a document hits as a whole."""
    yield CUSTOMER, parties.customer
    for group in groups:
        yield CUSTOMER_GROUP, group
    for object_type, object_id in (
        (SALESPERSON, parties.salesperson),
        (SALES_GROUP, parties.sales_group),
        (SALES_DEPARTMENT, parties.sales_department),
        (SALES_ORGANISATION, parties.sales_organisation),
    ):
        if object_id is not None:
            yield object_type, object_id


def line_objects(customer: str, material: str | None, material_group: str | None) -> Iterator[ObjectKey]:
    """The objects that one line hits."""
    if material is not None:
        yield CUSTOMER_MATERIAL, pair(customer, material)
    if material_group is not None:
        yield CUSTOMER_MATERIAL_GROUP, pair(customer, material_group)


@dataclass(frozen=True, slots=True)
class Organisations:
    """What is known of sales organisations: the legal organisation above each, and its time zone."""

    legal: dict[str, str]
    time_zones: dict[str, str]

    def holds(self, scope: str, scope_id: str, sales_organisation: str | None) -> bool:
        """Whether a scope covers a sales organisation."""
        if scope == GROUP_SCOPE:
            return True
        if sales_organisation is None:
            return False
        if scope == BUSINESS_SCOPE:
            return scope_id == sales_organisation
        return scope_id == self.legal.get(sales_organisation, sales_organisation)


NO_ORGANISATIONS: Final = Organisations({}, {})
