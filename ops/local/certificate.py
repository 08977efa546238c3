"""The certificate of the local mail server, and of the authority that signs it."""

from pathlib import Path

from ops.local.ports import HOST
from ops.local.secret import write_private

FOLDER = "mail-certificate"
NAMES = (HOST, "localhost", "mail", "mail.coffer.local")


def server_file(directory: Path) -> Path:
    """Where the server's key and certificate are."""
    return directory / FOLDER / "server.pem"


def make_certificate(directory: Path) -> Path:
    """The certificate of the authority that signs the mail server's, both made at first use."""
    folder = directory / FOLDER
    authority_file = folder / "authority.pem"
    if not authority_file.exists():
        import trustme

        folder.mkdir(parents=True, exist_ok=True)
        authority = trustme.CA(organization_name="Coffer local stack")
        server = authority.issue_cert(*NAMES)
        chain = b"".join(blob.bytes() for blob in server.cert_chain_pems)
        write_private(server_file(directory), (server.private_key_pem.bytes() + chain).decode())
        authority.cert_pem.write_to_path(str(authority_file))
    return authority_file
