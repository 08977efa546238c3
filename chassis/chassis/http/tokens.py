"""An issuer of one's own, for tests and the local stack: makes a key, publishes it, mints tokens."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

ISSUER: Final = "https://issuer.coffer.local"
AUDIENCE: Final = "coffer"
LIFETIME: Final = timedelta(hours=12)


class TokenIssuer:
    """Signs tokens with Ed25519; not for production, where the company's own issuer does."""

    def __init__(
        self, key: Ed25519PrivateKey, *, key_id: str, issuer: str = ISSUER, audience: str = AUDIENCE
    ) -> None:
        self._key = key
        self.key_id = key_id
        self.issuer = issuer
        self.audience = audience

    @classmethod
    def generate(cls, *, issuer: str = ISSUER, audience: str = AUDIENCE) -> "TokenIssuer":
        return cls(Ed25519PrivateKey.generate(), key_id=uuid4().hex, issuer=issuer, audience=audience)

    def key_set(self) -> dict[str, Any]:
        """The public key as a JWKS document."""
        public = jwt.algorithms.OKPAlgorithm.to_jwk(self._key.public_key(), as_dict=True)
        return {"keys": [{**public, "kid": self.key_id, "use": "sig", "alg": "EdDSA"}]}

    def key_set_json(self) -> bytes:
        return json.dumps(self.key_set()).encode()

    def publish(self, path: Path) -> None:
        """Writes the key set to the file that `COFFER_OIDC_JWKS` names."""
        path.write_bytes(self.key_set_json())

    def private_pem(self) -> bytes:
        return self._key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    @classmethod
    def from_private_pem(
        cls, pem: bytes, *, key_id: str, issuer: str = ISSUER, audience: str = AUDIENCE
    ) -> "TokenIssuer":
        key = serialization.load_pem_private_key(pem, password=None)
        if not isinstance(key, Ed25519PrivateKey):
            raise ValueError("the issuer's key is not an Ed25519 key")
        return cls(key, key_id=key_id, issuer=issuer, audience=audience)

    def mint(
        self,
        subject: str,
        *,
        roles: Iterable[str] = (),
        accounts: Iterable[str] = (),
        lifetime: timedelta = LIFETIME,
        issued_at: datetime | None = None,
        **claims: Any,
    ) -> str:
        """A signed token; further `claims` replace or add to the usual ones."""
        now = issued_at or datetime.now(UTC)
        usual = {
            "iss": self.issuer,
            "aud": self.audience,
            "sub": subject,
            "roles": sorted(roles),
            "accounts": sorted(accounts),
            "iat": now,
            "exp": now + lifetime,
            "auth_time": int(now.timestamp()),
        }
        return jwt.encode({**usual, **claims}, self._key, algorithm="EdDSA", headers={"kid": self.key_id})
