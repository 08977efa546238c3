"""Who is controlled."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Customer:
    """A customer as the check sees it; `has_profile` = of its own, in any currency; `groups` = those it belongs to."""

    customer_id: str
    credit_managed: bool
    active: bool
    has_profile: bool
    groups: tuple[str, ...] = ()
