"""Bearer tokens: who calls, proven by a signature of the issuer's key set."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final

import httpx
import jwt
import structlog
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from chassis.http.problems import Problem

ALGORITHMS: Final = frozenset({"RS256", "ES256", "EdDSA"})
REQUIRED_CLAIMS: Final = ["iss", "aud", "exp", "iat", "sub"]
CLOCK_SKEW_SECONDS_MAX: Final = 10
TOKEN_CHARACTERS_MAX: Final = 16_384
KEY_SET_BYTES_MAX: Final = 262_144
KEYS_MAX: Final = 100
KEY_SET_AGE_SECONDS_MAX: Final = 300.0
REFRESH_INTERVAL_SECONDS_MIN: Final = 30.0
FIRST_LOAD_INTERVAL_SECONDS_MIN: Final = 2.0
FETCH_SECONDS_MAX: Final = 5.0
CHALLENGE: Final = 'Bearer realm="coffer"'

log = structlog.get_logger(__name__)

Fetch = Callable[[str], Awaitable[bytes]]


@dataclass(frozen=True, slots=True)
class Principal:
    """Who calls: `accounts` are the caller's own; `authenticated_at` is when the caller last logged in."""

    subject: str
    roles: frozenset[str]
    accounts: frozenset[str] = frozenset()
    authenticated_at: datetime | None = None


class KeySetUnavailable(Problem):
    """The issuer's keys have never been read, so that no token can be judged."""

    def __init__(self) -> None:
        super().__init__(
            503,
            "keys-unavailable",
            detail="The token issuer's keys cannot be read at the moment; try again shortly.",
            headers={"Retry-After": "5"},
        )


class InvalidToken(Problem):
    """The token is missing a proof: signature, issuer, audience, time or form."""

    def __init__(self, detail: str) -> None:
        challenge = f'{CHALLENGE}, error="invalid_token", error_description="{detail}"'
        super().__init__(401, "invalid-token", detail=detail, headers={"WWW-Authenticate": challenge})


class NotAuthenticated(Problem):
    """No bearer token came with the request."""

    def __init__(self) -> None:
        detail = "Send a token in the header Authorization: Bearer <token>."
        super().__init__(401, "not-authenticated", detail=detail, headers={"WWW-Authenticate": CHALLENGE})


Name = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]


class Claims(BaseModel):
    """The claims that Coffer reads, beside those that the signature library checks."""

    model_config = ConfigDict(extra="ignore", strict=True)

    sub: Name
    roles: Annotated[list[Name], Field(max_length=100)] = []
    accounts: Annotated[list[Name], Field(max_length=1_000)] = []
    auth_time: Annotated[int, Field(ge=0, le=253_402_300_799)] | None = None


class KeySet:
    """The issuer's public keys by id: cached, read again when old or when a token names an unknown one.

    Reading happens at most every 30 seconds; when it fails, the keys at hand stay in use.
    """

    def __init__(
        self, source: str, *, fetch: Fetch | None = None, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._source = source
        self._fetch = fetch or read_source
        self._monotonic = monotonic
        self._keys: dict[str | None, jwt.PyJWK] = {}
        self._loaded_at: float | None = None
        self._tried_at: float | None = None
        self._refresh: asyncio.Task[None] | None = None

    async def key(self, key_id: str | None) -> jwt.PyJWK:
        """The key with this id (without an id: the only key); raises InvalidToken or KeySetUnavailable."""
        key = self._find(key_id)
        if key is None or self._is_old():
            refresh = self._start_refresh()
            if key is None and refresh is not None:
                await asyncio.shield(refresh)
                key = self._find(key_id)
        if key is not None:
            return key
        if self._loaded_at is None:
            raise KeySetUnavailable
        raise InvalidToken("The token is signed with a key that the issuer does not publish.")

    def _find(self, key_id: str | None) -> jwt.PyJWK | None:
        if key_id is None and len(self._keys) == 1:
            return next(iter(self._keys.values()))
        return self._keys.get(key_id)

    def _is_old(self) -> bool:
        return self._loaded_at is None or self._monotonic() - self._loaded_at > KEY_SET_AGE_SECONDS_MAX

    def _start_refresh(self) -> asyncio.Task[None] | None:
        """The running or a new refresh; None while it is too early for another one."""
        if self._refresh is not None and not self._refresh.done():
            return self._refresh
        now = self._monotonic()
        if self._tried_at is not None and now - self._tried_at < self._interval():
            return None
        self._tried_at = now
        self._refresh = asyncio.create_task(self._load(), name="read-key-set")
        return self._refresh

    def _interval(self) -> float:
        return FIRST_LOAD_INTERVAL_SECONDS_MIN if self._loaded_at is None else REFRESH_INTERVAL_SECONDS_MIN

    async def _load(self) -> None:
        try:
            keys = usable_keys(json.loads(await self._fetch(self._source)))
        except (OSError, ValueError, httpx.HTTPError) as error:
            log.warning("the token issuer's keys cannot be read", keys_kept=len(self._keys), error=str(error))
            return
        if not keys:
            log.warning("the token issuer publishes no usable key", keys_kept=len(self._keys))
            return
        self._keys = keys
        self._loaded_at = self._monotonic()


def usable_keys(document: Any) -> dict[str | None, jwt.PyJWK]:
    """The signing keys of a JWKS document by id; symmetric, encryption and other keys are left out."""
    listed = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(listed, list):
        raise ValueError('a key set is an object with a list "keys"')
    keys: dict[str | None, jwt.PyJWK] = {}
    for description in listed[:KEYS_MAX]:
        key = _usable_key(description)
        if key is not None:
            keys[key.key_id] = key
    return keys


def _usable_key(description: Any) -> jwt.PyJWK | None:
    if not isinstance(description, dict) or description.get("kty") == "oct" or "d" in description:
        return None
    try:
        key = jwt.PyJWK(description)
    except (jwt.InvalidKeyError, jwt.PyJWKError):
        return None
    if key.algorithm_name not in ALGORITHMS or key.public_key_use not in (None, "sig"):
        return None
    return key


async def read_source(source: str) -> bytes:
    """Reads a key set from a URL or from a file; raises OSError, ValueError or httpx.HTTPError."""
    if not source.startswith(("http://", "https://")):
        return await asyncio.to_thread(_read_file, Path(source.removeprefix("file://")))
    content = b""
    async with (
        httpx.AsyncClient(timeout=FETCH_SECONDS_MAX) as client,
        client.stream("GET", source) as response,
    ):
        response.raise_for_status()
        async for chunk in response.aiter_bytes():
            content += chunk
            if len(content) > KEY_SET_BYTES_MAX:
                raise ValueError(f"the key set is larger than {KEY_SET_BYTES_MAX} bytes")
    return content


def _read_file(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(KEY_SET_BYTES_MAX)


class Authenticator:
    """Turns an Authorization header into a Principal."""

    def __init__(self, issuer: str, audience: str, keys: KeySet) -> None:
        self._issuer = issuer
        self._audience = audience
        self._keys = keys

    async def principal(self, authorization: str | None) -> Principal:
        """Raises NotAuthenticated, InvalidToken or KeySetUnavailable."""
        token = _bearer_token(authorization)
        key = await self._keys.key(_key_id(token))
        return _principal(self._verified_claims(token, key))

    def _verified_claims(self, token: str, key: jwt.PyJWK) -> Mapping[str, Any]:
        try:
            return jwt.decode(
                token,
                key.key,
                algorithms=[key.algorithm_name],
                issuer=self._issuer,
                audience=self._audience,
                leeway=CLOCK_SKEW_SECONDS_MAX,
                options={"require": REQUIRED_CLAIMS, "enforce_minimum_key_length": True},
            )
        except jwt.PyJWTError as error:
            raise InvalidToken(_reason(error)) from None


def _bearer_token(authorization: str | None) -> str:
    scheme, _, token = (authorization or "").partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token:
        raise NotAuthenticated
    if len(token) > TOKEN_CHARACTERS_MAX:
        raise InvalidToken(f"The token is longer than {TOKEN_CHARACTERS_MAX} characters.")
    return token


def _key_id(token: str) -> str | None:
    try:
        header = jwt.get_unverified_header(token)
    except jwt.PyJWTError:
        raise InvalidToken("The token is not a signed JSON Web Token.") from None
    if header.get("alg") not in ALGORITHMS:
        raise InvalidToken(f"The token must be signed with one of {', '.join(sorted(ALGORITHMS))}.")
    key_id = header.get("kid")
    return key_id if isinstance(key_id, str) else None


REASONS: Final = (
    (jwt.ExpiredSignatureError, "The token has expired; get a new one."),
    (jwt.ImmatureSignatureError, "The token is not valid yet; check the clocks."),
    (jwt.InvalidIssuedAtError, "The token's iat is not a time."),
    (jwt.InvalidAudienceError, "The token is meant for another audience."),
    (jwt.InvalidIssuerError, "The token comes from another issuer."),
    (jwt.InvalidAlgorithmError, "The token is signed with another algorithm than its key is for."),
    (jwt.InvalidSignatureError, "The token's signature does not fit."),
)


def _reason(error: jwt.PyJWTError) -> str:
    if isinstance(error, jwt.MissingRequiredClaimError):
        return f"The token has no claim {error.claim}."
    return next((reason for kind, reason in REASONS if isinstance(error, kind)), "The token is not valid.")


def _principal(claims: Mapping[str, Any]) -> Principal:
    try:
        checked = Claims.model_validate(claims)
    except ValidationError as error:
        claim = error.errors()[0]["loc"][0]
        raise InvalidToken(f"The token's claim {claim} does not have the expected form.") from None
    authenticated_at = None if checked.auth_time is None else datetime.fromtimestamp(checked.auth_time, UTC)
    return Principal(checked.sub, frozenset(checked.roles), frozenset(checked.accounts), authenticated_at)
