"""Master records that credit keeps: full state, where the highest version wins."""

import json
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b
from typing import Literal, Self

from contracts.master_data_changed import Customer, MasterDataChanged, Organisation, Reference

Table = Literal["organisation", "customer", "reference"]
ReferenceKind = Literal[
    "material", "material-group", "customer-group", "salesperson", "sales-group", "sales-department"
]
Version = tuple[int, bytes]
"""A record's version and the digest of its content."""

Standing = Literal["newer", "same", "older", "conflict"]


@dataclass(frozen=True, slots=True)
class MasterRecord:
    """One version of an organisation, a customer or a reference; `own` holds what only its kind has.

    Of an organisation: type, parent, time zone. Of a customer: customer group, whether it is credit managed. Of a
    reference: kind, id within its kind, parent.
    """

    table: Table
    record_id: str
    version: int
    name: str
    active: bool
    own: tuple[str | bool | None, ...]
    changed_by: str
    changed_at: datetime

    @property
    def digest(self) -> bytes:
        """Of the content, whoever sent it and when."""
        content = json.dumps([self.name, self.active, *self.own])
        return blake2b(content.encode(), digest_size=16).digest()

    def standing(self, known: Version | None) -> Standing:
        """What this version is to what is known; the same version with other content is a conflict."""
        if known is None or known[0] < self.version:
            return "newer"
        if known[0] > self.version:
            return "older"
        return "same" if known[1] == self.digest else "conflict"

    @classmethod
    def of(cls, event: MasterDataChanged, changed_by: str) -> Self | None:
        """The record of an event; None for kinds that credit does not keep."""
        record = event.record
        own: tuple[str | bool | None, ...]
        table: Table
        if isinstance(record, Organisation):
            table, own = "organisation", (record.organisation_type, record.parent, record.time_zone)
        elif isinstance(record, Customer):
            table, own = "customer", (record.customer_group, record.credit_managed)
        elif isinstance(record, Reference):
            own = (record.kind, event.id, record.parent)
            return cls(
                "reference",
                reference_id(record.kind, event.id),
                event.version,
                record.name,
                event.active,
                own,
                changed_by,
                event.changed_at,
            )
        else:
            return None
        return cls(
            table, event.id, event.version, record.name, event.active, own, changed_by, event.changed_at
        )


def reference_id(kind: str, own_id: str) -> str:
    """What a reference is kept under; kinds and ids hold no space."""
    return f"{kind} {own_id}"
