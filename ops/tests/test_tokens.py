"""Tokens of the local issuer verify by its JWKS, say what was asked for, and nothing else passes."""

import json
import time
from pathlib import Path
from typing import Any

import jwt
import pytest

from ops.local.errors import StackError
from ops.local.tokens import AUDIENCE, ISSUER, TTL_SECONDS_MAX, TokenIssuer


def verified(token: str, jwks_file: Path) -> dict[str, Any]:
    keys = jwt.PyJWKSet.from_dict(json.loads(jwks_file.read_text()))
    key = keys[jwt.get_unverified_header(token)["kid"]]
    claims: dict[str, Any] = jwt.decode(token, key, algorithms=["ES256"], audience=AUDIENCE, issuer=ISSUER)
    return claims


def test_a_token_carries_roles_accounts_and_subject(tmp_path: Path) -> None:
    issuer = TokenIssuer(tmp_path)
    token = issuer.mint(["account-user", "auditor"], accounts=["ACME"], subject="ann", ttl_seconds=60)
    claims = verified(token, issuer.jwks_file)
    assert (claims["sub"], claims["roles"], claims["accounts"]) == (
        "ann",
        ["account-user", "auditor"],
        ["ACME"],
    )
    assert claims["exp"] - claims["iat"] == 60
    assert abs(claims["auth_time"] - time.time()) < 60


def test_the_key_pair_stays_and_its_private_half_is_private(tmp_path: Path) -> None:
    first = TokenIssuer(tmp_path).mint(["auditor"])
    again = TokenIssuer(tmp_path)
    verified(first, again.prepare())
    assert again.key_file.stat().st_mode & 0o077 == 0
    assert "d" not in json.loads(again.jwks_file.read_text())["keys"][0]


def test_a_token_of_another_stack_does_not_verify(tmp_path: Path) -> None:
    stranger, issuer = TokenIssuer(tmp_path / "a"), TokenIssuer(tmp_path / "b")
    issuer.prepare()
    claims = jwt.decode(stranger.mint(["administrator"]), options={"verify_signature": False})
    forged = jwt.encode(
        claims, stranger.key_file.read_text(), algorithm="ES256", headers={"kid": _key_id(issuer)}
    )
    with pytest.raises(jwt.InvalidSignatureError):
        verified(forged, issuer.jwks_file)


def _key_id(issuer: TokenIssuer) -> str:
    return str(json.loads(issuer.jwks_file.read_text())["keys"][0]["kid"])


def test_an_unknown_role_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(StackError, match="There is no role admin; the roles are administrator, "):
        TokenIssuer(tmp_path).mint(["admin"])


@pytest.mark.parametrize("ttl_seconds", [0, -1, TTL_SECONDS_MAX + 1])
def test_a_token_cannot_live_for_ever(tmp_path: Path, ttl_seconds: int) -> None:
    with pytest.raises(StackError, match="A token lives 1 to"):
        TokenIssuer(tmp_path).mint(["auditor"], ttl_seconds=ttl_seconds)
