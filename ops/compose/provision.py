"""Makes the secrets of a stack at its first start: random, in the stack's volume, never in an image or in git.

Run again it changes nothing, so that a stack that is restarted keeps its passwords and its tokens.
"""

from pathlib import Path

from ops.compose.folder import Folder, keep, new_password
from ops.local.certificate import server_file
from ops.local.secret import secret, write_private
from ops.local.services import SERVICES, ServiceDefinition
from ops.local.tokens import TokenIssuer

MAIL_HOST = "mail"


def make_secrets(folder: Folder) -> None:
    """Make what is missing."""
    keep(folder.admin_password, new_password)
    keep(folder.grafana_password, new_password)
    key_set = TokenIssuer(folder.issuer).prepare()
    for service in SERVICES:
        provide(folder, service, key_set)
    agree_with_receivers(folder)


def provide(folder: Folder, service: ServiceDefinition, key_set: Path) -> None:
    """What every service is given, and its owner's address beside it."""
    keep(folder.owner_dsn(service), lambda: new_dsn(folder, service, service.owner))
    keep(folder.application_dsn(service), lambda: new_dsn(folder, service, service.module))
    keep(folder.service(service) / "jwks.json", key_set.read_text)


def new_dsn(folder: Folder, service: ServiceDefinition, role: str) -> str:
    """An address of a service's database for one of its roles, with a new password."""
    return f"postgresql://{role}:{new_password()}@{folder.database_place}/{service.module}"


def agree_with_receivers(folder: Folder) -> None:
    """Give notify what the mail server and the SMS gateway let it in by."""
    notify = folder.service(ServiceDefinition("notify"))
    keep(notify / "smtp-password", lambda: secret(folder.mail, "smtp"))
    keep(notify / "sms-password", lambda: secret(folder.sms, "sms"))
    keep(notify / "mail-authority.pem", make_certificate(folder.mail).read_text)


def make_certificate(directory: Path) -> Path:
    """The authority that signs the mail server's certificate, for its name in the stack's network."""
    certificate = server_file(directory)
    authority_file = certificate.with_name("authority.pem")
    if not authority_file.exists():
        import trustme

        authority = trustme.CA(organization_name="Coffer compose stack")
        server = authority.issue_cert(MAIL_HOST, "localhost")
        chain = b"".join(blob.bytes() for blob in server.cert_chain_pems)
        write_private(certificate, (server.private_key_pem.bytes() + chain).decode())
        authority.cert_pem.write_to_path(str(authority_file))
    return authority_file
