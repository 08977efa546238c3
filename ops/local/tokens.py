"""The local token issuer: a key pair in the stack's directory, its public half as a JWKS, signed tokens."""

import json
import time
import uuid
from collections.abc import Sequence
from pathlib import Path

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

from ops.local.errors import StackError
from ops.local.secret import write_private

ALGORITHM = "ES256"
ISSUER = "https://issuer.coffer.local"
AUDIENCE = "coffer"
TTL_SECONDS = 86_400
TTL_SECONDS_MAX = 366 * 86_400
ROLES = (
    "administrator",
    "finance-maker",
    "finance-approver",
    "credit-manager",
    "credit-approver",
    "treasurer",
    "auditor",
    "account-user",
    "operator",
    "order-system",
    "billing-system",
    "planner",
    "plan-administrator",
    "document-maker",
)


class TokenIssuer:
    """Mints tokens that the services of one stack accept."""

    def __init__(self, directory: Path) -> None:
        self.key_file = directory / "issuer" / "key.pem"
        self.jwks_file = directory / "issuer" / "jwks.json"

    def prepare(self) -> Path:
        """Make the key pair at first use, and return the file of the public keys."""
        if not self.jwks_file.exists():
            key = ec.generate_private_key(ec.SECP256R1())
            pem = key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
            write_private(self.key_file, pem.decode())
            public = ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
            public |= {"kid": str(uuid.uuid4()), "use": "sig", "alg": ALGORITHM}
            self.jwks_file.write_text(json.dumps({"keys": [public]}, indent=2) + "\n")
        return self.jwks_file

    def environment(self) -> dict[str, str]:
        """What a service needs to check the tokens."""
        return {
            "COFFER_OIDC_ISSUER": ISSUER,
            "COFFER_OIDC_AUDIENCE": AUDIENCE,
            "COFFER_OIDC_JWKS": str(self.prepare()),
        }

    def mint(
        self,
        roles: Sequence[str],
        *,
        accounts: Sequence[str] = (),
        subject: str = "",
        ttl_seconds: int = TTL_SECONDS,
    ) -> str:
        """A token for these roles; `accounts` are the caller's own, for the role account-user."""
        unknown = sorted(set(roles) - set(ROLES))
        if unknown:
            raise StackError(f"There is no role {', '.join(unknown)}; the roles are {', '.join(ROLES)}.")
        if not 0 < ttl_seconds <= TTL_SECONDS_MAX:
            raise StackError(f"A token lives 1 to {TTL_SECONDS_MAX} seconds.")
        now = int(time.time())
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": subject or (roles[0] if roles else "somebody"),
            "roles": list(roles),
            "accounts": list(accounts),
            "iat": now,
            "auth_time": now,
            "exp": now + ttl_seconds,
            "jti": str(uuid.uuid4()),
        }
        return self.sign(claims)

    def sign(self, claims: dict[str, object]) -> str:
        """Sign any claims with the issuer's key; tests make expired and foreign tokens with it."""
        key_id = json.loads(self.prepare().read_text())["keys"][0]["kid"]
        return jwt.encode(claims, self.key_file.read_text(), algorithm=ALGORITHM, headers={"kid": key_id})
