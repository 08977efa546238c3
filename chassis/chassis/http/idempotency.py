"""One effect per Idempotency-Key: the first answer of a command is kept and given again.

A successful answer is kept in the transaction of its effects. A refusal (a problem) rolls its transaction
back and keeps nothing: it had no effect, so the caller may mend the cause and send the same key again, with
the same or another body. Two requests with one key at once: the second waits for the first one's row, then
gets its answer.
"""

import re
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request
from starlette.responses import Response

from chassis.http.problems import Problem

HEADER: Final = "Idempotency-Key"
REPLAYED_HEADER: Final = "Idempotency-Replayed"
KEY: Final = re.compile(r"[\x21-\x7e]{1,200}")
ANSWER_BYTES_MAX: Final = 8 * 1024 * 1024
BOUNDARY: Final = re.compile(rb'boundary="?([^";,\s]{1,70})')


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer of a command, as it is kept."""

    status: int
    content_type: str | None
    body: bytes

    def response(self) -> Response:
        headers = {REPLAYED_HEADER: "true"}
        return Response(self.body, self.status, headers=headers, media_type=self.content_type)


class AnswerNotKept(RuntimeError):
    """A command answered with something that cannot be given again, such as a stream."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"a command's answer cannot be kept for its Idempotency-Key: {reason}")


def key_of(request: Request, *, required: bool) -> str | None:
    """The request's key; raises Problem 400 when it is missing though required, or malformed."""
    key = request.headers.get(HEADER)
    if key is None:
        if not required:
            return None
        detail = f"Send a header {HEADER} of your own making: new for each command, the same for a repeat."
        raise Problem.bad_request(
            "idempotency-key-missing", detail, errors=[{"field": HEADER, "message": "is required"}]
        )
    if KEY.fullmatch(key) is None:
        message = "must be 1 to 200 visible ASCII characters"
        raise Problem.bad_request(
            "idempotency-key-malformed",
            f"{HEADER} {message}.",
            errors=[{"field": HEADER, "message": message}],
        )
    return key


def request_hash(request: Request, body: bytes) -> bytes:
    """Tells one request from another: method, path, query, body; a form's random boundary does not count."""
    boundary = BOUNDARY.search(request.headers.get("content-type", "").encode())
    if boundary is not None:
        body = body.replace(boundary.group(1), b"")
    target = f"{request.method}\n{request.url.path}\n{request.url.query}\n"
    return sha256(target.encode() + body).digest()


def answer_of(response: Response) -> Answer:
    """What is kept of a response; raises AnswerNotKept for a stream or an answer above 8 MiB."""
    body = getattr(response, "body", None)
    if not isinstance(body, bytes):
        raise AnswerNotKept("it is a stream")
    if len(body) > ANSWER_BYTES_MAX:
        raise AnswerNotKept(f"it has more than {ANSWER_BYTES_MAX} bytes")
    return Answer(response.status_code, response.headers.get("content-type"), body)


async def kept_answer(
    connection: AsyncConnection, principal: str, key: str, request_hash: bytes
) -> Answer | None:
    """Takes the key for this transaction, or returns the answer kept under it.

    Waits while another transaction holds the key. Raises Problem 422 when the kept answer belongs to another
    request.
    """
    parameters = {"principal": principal, "key": key, "hash": request_hash}
    taken = await connection.execute(
        text(
            """
            insert into idempotency (principal, key, request_hash) values (:principal, :key, :hash)
            on conflict do nothing
            returning true
            """
        ),
        parameters,
    )
    if taken.scalar_one_or_none():
        return None
    kept = await connection.execute(
        text(
            """
            select request_hash, status, content_type, body from idempotency
            where principal = :principal and key = :key
            """
        ),
        {"principal": principal, "key": key},
    )
    row = kept.one_or_none()
    if row is None:
        raise Problem.unavailable(f"The {HEADER} has just been forgotten; send the request again.")
    if row.request_hash != request_hash:
        raise _used_for_another_request()
    return Answer(row.status, row.content_type, row.body)


def _used_for_another_request() -> Problem:
    message = "has been used for another request; take a new key for a new command"
    return Problem(
        422,
        "idempotency-key-reused",
        detail=f"The {HEADER} {message}.",
        errors=[{"field": HEADER, "message": message}],
    )


async def keep_answer(connection: AsyncConnection, principal: str, key: str, answer: Answer) -> None:
    """Keeps the answer under the key that this transaction has taken."""
    await connection.execute(
        text(
            """
            update idempotency set status = :status, content_type = :content_type, body = :body
            where principal = :principal and key = :key
            """
        ),
        {
            "principal": principal,
            "key": key,
            "status": answer.status,
            "content_type": answer.content_type,
            "body": answer.body,
        },
    )
