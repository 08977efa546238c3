"""Initialization: documents that were open when credit control was enabled, looked at first and then taken over."""

from typing import Annotated, Final, Literal

from chassis.http import Policy, Problem, Router, Work
from contracts.document_posted import DocumentPosted
from contracts.money import SignedMoney
from pydantic import BaseModel, ConfigDict, Field

from chassis import UnitOfWork
from credit.api.common import Body, signed
from credit.api.rules import REASON_EXAMPLE
from credit.domain.arrivals import Effect, Posting
from credit.domain.desk import Desk
from credit.domain.documents import DocumentFault, NotOfCredit, document_of
from credit.publishing import publish
from credit.repository import gate as gates
from credit.repository import rules, saving
from credit.repository.bodies import Parameters, digest_of, parameters_of
from credit.settings import periods

router: Final = Router(tags=["initialization"])

DOCUMENTS_MAX: Final = 1_000
BODY_BYTES_MAX: Final = 8 * 1024 * 1024
Outcome = Literal["taken", "known", "refused"]


class Initialization(Body):
    """Documents as `document-posted` carries them, as facts; `preview` stores nothing."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "preview": True,
                    "reason": REASON_EXAMPLE,
                    "documents": [
                        {
                            "source": "erp",
                            "document_type": "receivable",
                            "document_id": "AR-1",
                            "document_revision": 1,
                            "operation": "audit",
                            "party": "A-1",
                            "customer": "C-1",
                            "currency": "CNY",
                            "document_date": "2025-12-31",
                            "lines": [{"line_id": "1", "amount": {"amount": "120.00", "currency": "CNY"}}],
                            "total": {"amount": "120.00", "currency": "CNY"},
                            "posted_at": "2025-12-31T09:00:00Z",
                        }
                    ],
                }
            ]
        },
    )
    documents: Annotated[list[DocumentPosted], Field(min_length=1, max_length=DOCUMENTS_MAX)]
    preview: Annotated[bool, Field(strict=True)] = False
    reason: Annotated[str, Field(min_length=1, max_length=1000)]


class DocumentResult(BaseModel):
    """What becomes of one document, by its place in the list."""

    place: int
    document_type: str
    document_id: str
    outcome: Outcome
    reason: str | None = None


class ProfileResult(BaseModel):
    """What a profile uses before and after."""

    profile_id: str
    object_type: str
    object_id: str
    before: SignedMoney
    after: SignedMoney


class InitializationResult(BaseModel):
    """Nothing is stored while a document is refused."""

    stored: bool
    documents: list[DocumentResult]
    profiles: list[ProfileResult]


@router.post(
    "/initializations", policy=Policy("initialization:run", {"credit-manager"}), body_bytes_max=BODY_BYTES_MAX
)
async def initialize(body: Initialization, work: Work) -> InitializationResult:
    """Takes open documents up to the enabling date over; the same document as an event later is a duplicate."""
    parameters = await _parameters(work)
    if parameters.enabled_on is None:
        raise Problem.conflict("not-enabled", "Set `enabled_on` in the parameters first.")
    postings: list[Posting | DocumentResult] = []
    for place, event in enumerate(body.documents):
        postings.append(_posting(place, event, parameters))
    papers = [one.document for one in postings if isinstance(one, Posting)]
    if not papers:
        results = [one for one in postings if isinstance(one, DocumentResult)]
        return InitializationResult(stored=False, documents=results, profiles=[])
    gate = await gates.locked_desk(work.connection, papers, work.now, periods())
    assert isinstance(gate.desk, Desk)
    before = {profile_id: profile.used for profile_id, profile in gate.profiles.items()}
    effects: list[Effect] = []
    results = []
    for place, one in enumerate(postings):
        if isinstance(one, DocumentResult):
            results.append(one)
            continue
        effect = gate.desk.post(one)
        effects.append(effect)
        results.append(_result(place, one, effect))
    stored = not body.preview and all(result.outcome != "refused" for result in results)
    if stored:
        assert work.cause is not None, "a command is its own cause"
        for effect in effects:
            publish(work, effect, work.cause)
        await saving.save(work.connection, gate, work.now)
    profiles = [
        ProfileResult(
            profile_id=name,
            object_type=profile.object_type,
            object_id=profile.object_id,
            before=signed(before[name], profile.currency),
            after=signed(profile.used, profile.currency),
        )
        for name, profile in sorted(gate.profiles.items())
        if profile.used != before[name]
    ]
    return InitializationResult(stored=stored, documents=results, profiles=profiles)


def _result(place: int, posting: Posting, effect: Effect) -> DocumentResult:
    key = posting.document.key
    outcome: Outcome = "known" if effect.known else "taken"
    reason = None
    if effect.refusal is not None:
        outcome, reason = "refused", effect.refusal.detail
    return DocumentResult(
        place=place,
        document_type=key.document_type,
        document_id=key.document_id,
        outcome=outcome,
        reason=reason,
    )


def _posting(place: int, event: DocumentPosted, parameters: Parameters) -> Posting | DocumentResult:
    """The document as a fact, or why it cannot be taken over."""
    reason = ""
    assert parameters.enabled_on is not None, "asked before"
    if event.stance != "fact" or event.operation not in ("submit", "audit", "close"):
        reason = (
            f"is {event.operation} as a {event.stance}; a document as it stands is a fact, audited or closed"
        )
    elif event.document_date > parameters.enabled_on:
        reason = f"is of {event.document_date}, after the enabling date, {parameters.enabled_on}; send it as an event"
    else:
        try:
            body = event.to_json()
            event_id = f"initialization {event.document_type} {event.document_id}"
            return Posting(
                document_of(event),
                event.operation,
                "fact",
                event.party,
                event_id,
                digest_of(body),
                body,
            )
        except NotOfCredit:
            reason = "does not concern credit"
        except DocumentFault as fault:
            reason = fault.text
    return DocumentResult(
        place=place,
        document_type=event.document_type,
        document_id=event.document_id,
        outcome="refused",
        reason=reason,
    )


async def _parameters(work: UnitOfWork) -> Parameters:
    row = await rules.parameter_row(work.connection)
    return Parameters() if row is None else parameters_of(bytes(row.body))
