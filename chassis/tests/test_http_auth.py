import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from chassis.http.auth import (
    Authenticator,
    InvalidToken,
    KeySet,
    KeySetUnavailable,
    NotAuthenticated,
    Principal,
    usable_keys,
)
from chassis.http.fakes import TokenIssuer, authenticator
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

ISSUER = TokenIssuer.generate()
OTHER_ISSUER = TokenIssuer.generate()


def signed(claims: dict[str, Any]) -> str:
    return jwt.encode(claims, ISSUER._key, algorithm="EdDSA", headers={"kid": ISSUER.key_id})


def claims_of(issuer: TokenIssuer) -> dict[str, Any]:
    claims: dict[str, Any] = jwt.decode(
        issuer.mint("mallory", roles=["administrator"]), options={"verify_signature": False}
    )
    return claims


async def principal(token: str, issuer: TokenIssuer = ISSUER) -> Principal:
    return await authenticator(issuer).principal(f"Bearer {token}")


async def test_a_token_names_its_caller() -> None:
    at = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)
    token = ISSUER.mint("wang", roles=["finance"], accounts=["A-1"], auth_time=int(at.timestamp()))
    assert await principal(token) == Principal("wang", frozenset({"finance"}), frozenset({"A-1"}), at)


async def test_a_token_may_lack_roles_accounts_and_login_time() -> None:
    claims = {"iss": ISSUER.issuer, "aud": "coffer", "sub": "wang", "iat": datetime.now(UTC)}
    bare = signed({**claims, "exp": datetime.now(UTC) + timedelta(minutes=1)})
    assert await principal(bare) == Principal("wang", frozenset(), frozenset(), None)


def at(**ago: float) -> int:
    return int((datetime.now(UTC) - timedelta(**ago)).timestamp())


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"exp": at(minutes=1)}, "The token has expired; get a new one."),
        ({"iat": at(hours=-1)}, "The token is not valid yet; check the clocks."),
        ({"nbf": at(hours=-1)}, "The token is not valid yet; check the clocks."),
        ({"aud": "another"}, "The token is meant for another audience."),
        ({"aud": ["another"]}, "The token is meant for another audience."),
        ({"iss": "https://evil.test"}, "The token comes from another issuer."),
        ({"sub": ""}, "The token's claim sub does not have the expected form."),
        ({"roles": "administrator"}, "The token's claim roles does not have the expected form."),
        ({"accounts": [1]}, "The token's claim accounts does not have the expected form."),
        ({"auth_time": "now"}, "The token's claim auth_time does not have the expected form."),
    ],
)
async def test_wrong_claims_are_refused(claims: dict[str, Any], reason: str) -> None:
    with pytest.raises(InvalidToken) as refused:
        await principal(signed({**claims_of(ISSUER), **claims}))
    assert refused.value.detail == reason


@pytest.mark.parametrize("claim", ["iss", "aud", "exp", "iat", "sub"])
async def test_a_missing_claim_is_refused(claim: str) -> None:
    now = datetime.now(UTC)
    claims = {
        "iss": ISSUER.issuer,
        "aud": "coffer",
        "sub": "w",
        "iat": now,
        "exp": now + timedelta(minutes=1),
    }
    del claims[claim]
    token = signed(claims)
    with pytest.raises(InvalidToken, match=f"The token has no claim {claim}"):
        await principal(token)


async def test_an_unsigned_token_is_refused() -> None:
    token = jwt.encode(claims_of(ISSUER), "", algorithm="none", headers={"kid": ISSUER.key_id})
    with pytest.raises(InvalidToken, match="must be signed with one of ES256, EdDSA, RS256"):
        await principal(token)


async def test_a_public_key_is_no_shared_secret() -> None:
    public = ISSUER._key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    token = jwt.encode(claims_of(ISSUER), public, algorithm="HS256", headers={"kid": ISSUER.key_id})
    with pytest.raises(InvalidToken, match="must be signed with one of"):
        await principal(token)


async def test_the_algorithm_is_the_one_of_the_key() -> None:
    elliptic = ec.generate_private_key(ec.SECP256R1())
    token = jwt.encode(claims_of(ISSUER), elliptic, algorithm="ES256", headers={"kid": ISSUER.key_id})
    with pytest.raises(InvalidToken, match="another algorithm than its key is for"):
        await principal(token)


async def test_a_key_that_the_issuer_does_not_publish_is_refused() -> None:
    with pytest.raises(InvalidToken, match="a key that the issuer does not publish"):
        await principal(OTHER_ISSUER.mint("mallory", roles=["administrator"]))
    forged = TokenIssuer(OTHER_ISSUER._key, key_id=ISSUER.key_id)
    with pytest.raises(InvalidToken, match="signature does not fit"):
        await principal(forged.mint("mallory", roles=["administrator"]))


@pytest.mark.parametrize("authorization", [None, "", "Bearer", "Bearer  ", "Basic dXNlcjpwYXNz"])
async def test_without_a_bearer_token_nobody_is_known(authorization: str | None) -> None:
    with pytest.raises(NotAuthenticated) as refused:
        await authenticator().principal(authorization)
    assert refused.value.headers["WWW-Authenticate"] == 'Bearer realm="coffer"'


@pytest.mark.parametrize("token", ["x", "a.b.c", "eyJhbGciOiJub25lIn0..", "é" * 10, "a" * 20_000])
async def test_what_is_no_token_is_refused(token: str) -> None:
    with pytest.raises(InvalidToken) as refused:
        await principal(token)
    assert 'error="invalid_token"' in refused.value.headers["WWW-Authenticate"]


def jwk(key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey, **members: str) -> dict[str, Any]:
    if isinstance(key, rsa.RSAPublicKey):
        return {**jwt.algorithms.RSAAlgorithm.to_jwk(key, as_dict=True), **members}
    return {**jwt.algorithms.ECAlgorithm.to_jwk(key, as_dict=True), **members}


async def test_rsa_and_elliptic_keys_verify_beside_each_other() -> None:
    rsa_key = rsa.generate_private_key(65537, 2048)
    elliptic = ec.generate_private_key(ec.SECP256R1())
    keys = {"keys": [jwk(rsa_key.public_key(), kid="r"), jwk(elliptic.public_key(), kid="e", alg="ES256")]}

    async def fetch(_: str) -> bytes:
        return json.dumps(keys).encode()

    known = Authenticator(ISSUER.issuer, "coffer", KeySet("memory", fetch=fetch))
    for private, algorithm, key_id in ((rsa_key, "RS256", "r"), (elliptic, "ES256", "e")):
        token = jwt.encode(claims_of(ISSUER), private, algorithm=algorithm, headers={"kid": key_id})
        assert (await known.principal(f"bearer {token}")).subject == "mallory"


def test_only_signing_keys_of_the_pinned_algorithms_are_used() -> None:
    public = rsa.generate_private_key(65537, 2048).public_key()
    curve = ec.generate_private_key(ec.SECP384R1()).public_key()
    document = {
        "keys": [
            jwk(public, kid="good", alg="RS256", use="sig"),
            jwk(public, kid="encryption", use="enc"),
            jwk(public, kid="other-padding", alg="PS256"),
            jwk(curve, kid="other-curve"),
            {"kty": "oct", "k": "c2VjcmV0", "kid": "symmetric", "alg": "HS256"},
            {"kty": "unknown"},
            "nonsense",
        ]
    }
    assert list(usable_keys(document)) == ["good"]


class Source:
    """An issuer whose key set can change, and be away."""

    def __init__(self, *issuers: TokenIssuer) -> None:
        self.issuers = issuers
        self.is_away = False
        self.reads = 0

    async def __call__(self, _: str) -> bytes:
        self.reads += 1
        await asyncio.sleep(0)
        if self.is_away:
            raise httpx.ConnectError("refused")
        keys = [key for issuer in self.issuers for key in issuer.key_set()["keys"]]
        return json.dumps({"keys": keys}).encode()


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


async def test_the_key_set_is_read_once_for_many_callers(clock: Clock) -> None:
    source = Source(ISSUER)
    keys = KeySet("url", fetch=source, monotonic=clock)
    await asyncio.gather(*(keys.key(ISSUER.key_id) for _ in range(20)))
    await keys.key(None)
    assert source.reads == 1


async def test_an_unknown_key_reads_the_set_again_at_most_every_30_seconds(clock: Clock) -> None:
    source = Source(ISSUER)
    keys = KeySet("url", fetch=source, monotonic=clock)
    await keys.key(ISSUER.key_id)
    source.issuers = (ISSUER, OTHER_ISSUER)
    for _ in range(5):
        with pytest.raises(InvalidToken):
            await keys.key(OTHER_ISSUER.key_id)
    assert source.reads == 1
    clock.now += 30
    assert (await keys.key(OTHER_ISSUER.key_id)).key_id == OTHER_ISSUER.key_id
    assert source.reads == 2


async def test_known_keys_serve_on_while_the_issuer_is_away(clock: Clock) -> None:
    source = Source(ISSUER)
    keys = KeySet("url", fetch=source, monotonic=clock)
    await keys.key(ISSUER.key_id)
    source.is_away = True
    for _ in range(10):
        clock.now += 3_600
        assert (await keys.key(ISSUER.key_id)).key_id == ISSUER.key_id


async def test_a_withdrawn_key_is_refused_once_the_set_was_read_again(clock: Clock) -> None:
    source = Source(ISSUER, OTHER_ISSUER)
    keys = KeySet("url", fetch=source, monotonic=clock)
    await keys.key(OTHER_ISSUER.key_id)
    source.issuers = (ISSUER,)
    clock.now += 301
    await keys.key(OTHER_ISSUER.key_id)
    assert keys._refresh is not None
    await keys._refresh
    with pytest.raises(InvalidToken):
        await keys.key(OTHER_ISSUER.key_id)


async def test_an_issuer_away_from_the_start_is_not_the_callers_fault(clock: Clock) -> None:
    source = Source(ISSUER)
    source.is_away = True
    keys = KeySet("url", fetch=source, monotonic=clock)
    with pytest.raises(KeySetUnavailable):
        await keys.key(ISSUER.key_id)
    source.is_away = False
    clock.now += 2
    assert (await keys.key(ISSUER.key_id)).key_id == ISSUER.key_id


@pytest.mark.parametrize("as_source", [str, lambda path: path.as_uri()])
async def test_a_key_set_is_read_from_a_file(tmp_path: Path, as_source: Callable[[Path], str]) -> None:
    path = tmp_path / "keys.json"
    path.write_bytes(ISSUER.key_set_json())
    assert (await KeySet(as_source(path)).key(ISSUER.key_id)).algorithm_name == "EdDSA"


@pytest.mark.parametrize("content", [b"", b"[]", b'{"keys": 1}', b"\xff", b'{"keys": []}'])
async def test_a_broken_key_set_is_no_key_set(content: bytes) -> None:
    async def fetch(_: str) -> bytes:
        return content

    with pytest.raises(KeySetUnavailable):
        await KeySet("url", fetch=fetch).key("any")


async def test_a_key_set_is_read_from_a_server() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        body = ISSUER.key_set_json()
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % len(body) + body)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        key = await KeySet(f"http://127.0.0.1:{port}/keys").key(ISSUER.key_id)
    assert key.key_id == ISSUER.key_id
