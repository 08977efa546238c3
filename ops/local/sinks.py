"""The mail server and the SMS gateway of a stack: running them, reading what they received, ordering faults."""

import json
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ops.local.certificate import make_certificate
from ops.local.errors import NotReadyError, StackError
from ops.local.faults import Fault, read_journal
from ops.local.ports import HOST, Ports, require_free
from ops.local.processes import ManagedProcess
from ops.local.secret import USERNAME, secret
from ops.local.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 30.0
STOP_SECONDS = 10.0
REQUEST_SECONDS = 10.0
WAIT_SECONDS = 30.0

Message = dict[str, Any]


class Sink:
    """A receiver of notices; what it received is readable also while it does not run."""

    def __init__(self, managed: ManagedProcess, http_port: int, journal_file: Path) -> None:
        self.managed = managed
        self.http_port = http_port
        self.url = f"http://{HOST}:{http_port}"
        self.journal_file = journal_file

    def is_alive(self) -> bool:
        """Whether its process runs."""
        return self.managed.is_alive()

    def stop(self) -> None:
        """End it; what it received stays."""
        self.managed.stop(STOP_SECONDS)

    def kill(self) -> None:
        """End it at once."""
        self.managed.kill()

    def _start(self, module: str, *arguments: str) -> None:
        command = [sys.executable, "-m", module, str(self.managed.directory), *arguments]
        self.managed.start(command, folder=ROOT, port=self.http_port)

    def _wait_ready(self) -> None:
        wait_until(self._answers, START_SECONDS, f"The start of {self.managed.name}")

    def _answers(self) -> bool:
        self.managed.require_alive()
        try:
            self._request("GET", "/livez")
        except StackError:
            return False
        return True

    def messages(self, to: str = "") -> list[Message]:
        """What was received, oldest first, by a part of the recipient.

        E-mail has from, to, subject, text, message_id, language, file; SMS from, to, text, parts, coding,
        validity, report_url; both number and received_at.
        """
        try:
            received: list[Message] = json.loads(self._request("GET", f"/messages?to={quote(to)}"))
        except StackError:
            received = [message for message in read_journal(self.journal_file) if to in message["to"]]
        return received

    def wait_for(
        self,
        to: str = "",
        *,
        count: int = 1,
        matching: Callable[[Message], bool] = lambda _message: True,
        timeout_seconds: float = WAIT_SECONDS,
    ) -> list[Message]:
        """Return the matching messages as soon as there are so many; raise NotReadyError otherwise."""

        def found() -> list[Message]:
            return [message for message in self.messages(to) if matching(message)]

        try:
            wait_until(
                lambda: len(found()) >= count, timeout_seconds, f"{count} messages to {to or 'anybody'}"
            )
        except NotReadyError as late:
            raise NotReadyError(
                f"{count} messages to {to or 'anybody'}", timeout_seconds, str(found())
            ) from late
        return found()

    def order_fault(self, fault: Fault) -> None:
        """Let the next attempts go wrong in this way."""
        self._request("POST", "/faults", json.dumps(asdict(fault)).encode())

    def clear_faults(self) -> None:
        """Let everything go right again."""
        self._request("DELETE", "/faults")

    def clear(self) -> None:
        """Forget what was received."""
        self._request("DELETE", "/messages")

    def _request(self, method: str, path: str, body: bytes | None = None) -> bytes:
        request = urllib.request.Request(self.url + path, data=body, method=method)  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=REQUEST_SECONDS) as answer:  # noqa: S310
                content: bytes = answer.read()
                return content
        except urllib.error.HTTPError as refusal:
            with refusal:
                raise StackError(f"{method} {path} was refused: {refusal.read().decode()}") from refusal
        except OSError as problem:
            raise StackError(f"{self.url} does not answer: {problem}") from problem


class MailServer(Sink):
    """The SMTP server of a stack: STARTTLS and AUTH required."""

    def __init__(self, directory: Path, ports: Ports) -> None:
        self.smtp_port = ports.smtp
        journal_file = directory / "mail" / "index.ndjson"
        super().__init__(ManagedProcess(directory, "mail"), ports.mailbox, journal_file)

    def require_ports(self) -> None:
        """Refuse, naming the holder, if it does not run and its ports are taken."""
        if not self.is_alive():
            require_free(self.smtp_port, "the mail server", "smtp")
            require_free(self.http_port, "the mail server's mailbox", "mailbox")

    def start(self) -> None:
        """Start it where it does not run, and return when it answers."""
        if not self.is_alive():
            self.require_ports()
            make_certificate(self.managed.directory)
            secret(self.managed.directory, "smtp")
            self._start("ops.local.mail", str(self.smtp_port), str(self.http_port))
        self._wait_ready()

    def content(self, number: int) -> bytes:
        """One mail as it came."""
        return self._request("GET", f"/messages/{number}")

    def environment(self) -> dict[str, str]:
        """What a sender of mail needs to know."""
        return {
            "COFFER_SMTP_HOST": HOST,
            "COFFER_SMTP_PORT": str(self.smtp_port),
            "COFFER_SMTP_USERNAME": USERNAME,
            "COFFER_SMTP_PASSWORD": secret(self.managed.directory, "smtp"),
            "COFFER_SMTP_CA_FILE": str(make_certificate(self.managed.directory)),
            "COFFER_SMTP_FROM": "Coffer <notices@coffer.local>",
        }


class SmsGateway(Sink):
    """The SMS gateway of a stack: Kannel's sendsms and delivery reports."""

    def __init__(self, directory: Path, ports: Ports) -> None:
        super().__init__(ManagedProcess(directory, "sms"), ports.sms, directory / "sms.ndjson")

    def require_ports(self) -> None:
        """Refuse, naming the holder, if it does not run and its port is taken."""
        if not self.is_alive():
            require_free(self.http_port, "the SMS gateway", "sms")

    def start(self) -> None:
        """Start it where it does not run, and return when it answers."""
        if not self.is_alive():
            self.require_ports()
            secret(self.managed.directory, "sms")
            self._start("ops.local.sms", str(self.http_port))
        self._wait_ready()

    def environment(self) -> dict[str, str]:
        """What a sender of SMS needs to know."""
        return {
            "COFFER_SMS_URL": f"{self.url}/cgi-bin/sendsms",
            "COFFER_SMS_USERNAME": USERNAME,
            "COFFER_SMS_PASSWORD": secret(self.managed.directory, "sms"),
            "COFFER_SMS_FROM": "Coffer",
        }
