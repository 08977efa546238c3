"""Recalculation: what is stored against what the documents say, told first and applied only when asked."""

from typing import Final

from chassis.http import Policy, Problem, Router, Work
from contracts.money import SignedMoney
from pydantic import BaseModel, ConfigDict, Field

from chassis import UnitOfWork
from credit.api.common import Body, IdPath, signed, unknown
from credit.domain.desk import Desk, Difference
from credit.domain.gate import Gate
from credit.repository import documents, masterdata, saving
from credit.repository import gate as gates
from credit.settings import periods

router: Final = Router(tags=["recalculation"])

DOCUMENTS_MAX: Final = 2_000


class Recalculate(Body):
    """Whether the differences are only told, or put right as well."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"apply": False}]})
    apply: bool = False


class DifferenceView(BaseModel):
    """One document in one profile; `cause` says why it differs."""

    document_type: str
    source: str
    document_id: str
    profile_id: str
    stage: str
    stored: SignedMoney
    right: SignedMoney
    cause: str


class Recalculation(BaseModel):
    """What was compared, and what differs."""

    customer_id: str
    documents: int
    applied: bool
    differences: list[DifferenceView] = Field(description="Empty when everything is right.")


@router.post("/customers/{customer_id}/recalculation", policy=Policy("recalculation:run", {"credit-manager"}))
async def recalculate(customer_id: IdPath, body: Recalculate, work: Work) -> Recalculation:
    """Computes what a customer's documents occupy from the stored documents under the rules now in force."""
    if await masterdata.record_row(work.connection, "customer", customer_id) is None:
        raise unknown("customer", customer_id)
    keys = await documents.documents_of(work.connection, customer_id, DOCUMENTS_MAX + 1)
    if len(keys) > DOCUMENTS_MAX:
        raise Problem.conflict("too-many-documents", f"The customer has more than {DOCUMENTS_MAX} documents.")
    if not keys:
        return Recalculation(customer_id=customer_id, documents=0, applied=False, differences=[])
    gate = await gates.locked_desk_of(work.connection, keys, work.now, periods())
    assert isinstance(gate.desk, Desk)
    found = gate.desk.differences()
    views = await _views(work, gate, found)
    if body.apply and found:
        gate.desk.put_right(min(keys))
        await saving.save(work.connection, gate, work.now)
    return Recalculation(
        customer_id=customer_id, documents=len(keys), applied=body.apply and bool(found), differences=views
    )


async def _views(work: UnitOfWork, gate: Gate, found: list[Difference]) -> list[DifferenceView]:
    papers, profiles = await documents.changed_since(
        work.connection, {one.key for one in found}, {one.profile_id for one in found}
    )
    views = []
    for one in found:
        currency = gate.profiles[one.profile_id].currency
        changed, since = papers.get(one.key), profiles.get(one.profile_id)
        is_newer = changed is not None and since is not None and since > changed
        views.append(
            DifferenceView(
                document_type=one.key.document_type,
                source=one.key.source,
                document_id=one.key.document_id,
                profile_id=one.profile_id,
                stage=one.stage,
                stored=signed(one.stored, currency),
                right=signed(one.right, currency),
                cause="profile or rule changed" if is_newer else "stored amount differs",
            )
        )
    return views
