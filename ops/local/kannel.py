"""A real Kannel with a pretended SMS centre, where Kannel is installed: the measure for the local gateway."""

import shutil
import urllib.request
from pathlib import Path

from ops.local.ports import HOST, free_ports, is_listening
from ops.local.processes import ManagedProcess
from ops.local.secret import USERNAME, secret
from ops.local.waiting import wait_until

CENTRE_PROGRAM = "/usr/lib/kannel/test/fakesmsc"
START_SECONDS = 20.0
STOP_SECONDS = 10.0

CONFIGURATION = """\
group = core
admin-port = {admin}
admin-interface = {host}
admin-password = {password}
smsbox-port = {box}
smsbox-interface = {host}
store-type = file
store-location = {home}/store
dlr-storage = spool
dlr-spool = {home}/reports

group = smsc
smsc = fake
smsc-id = local
our-host = {host}
port = {centre}
connect-allow-ip = {host}

group = smsbox
bearerbox-host = {host}
bearerbox-port = {box}
smsbox-id = box
sendsms-port = {sendsms}
sendsms-interface = {host}
http-request-retry = 3
http-queue-delay = 2

group = sendsms-user
username = {username}
password = {password}
max-messages = 10
concatenation = true

group = sms-service
keyword = default
text = "no service"
max-messages = 0
"""


def is_installed() -> bool:
    """Whether this machine has Kannel and the centre that its package brings for tests."""
    return bool(shutil.which("bearerbox") and shutil.which("smsbox") and Path(CENTRE_PROGRAM).exists())


class Kannel:
    """One Kannel on loopback, kept in a directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.admin, self.box, self.centre, self.sendsms = free_ports(4)
        self.gateway = ManagedProcess(directory, "kannel-bearerbox")
        self.front = ManagedProcess(directory, "kannel-smsbox")
        self.phones = ManagedProcess(directory, "kannel-centre")

    def start(self) -> None:
        """Start the three processes, and return when messages are taken."""
        configuration = self._configuration()
        self._launch(self.gateway, ["bearerbox", str(configuration)], self.box)
        self._launch(self.front, ["smsbox", str(configuration)], self.sendsms)
        command = [CENTRE_PROGRAM, "-H", HOST, "-r", str(self.centre), "-m", "0", "1 1 text x"]
        self.phones.start(command)
        wait_until(self._centre_is_online, START_SECONDS, "the SMS centre's coming online")

    def stop(self) -> None:
        """End the three processes."""
        for managed in (self.phones, self.front, self.gateway):
            managed.stop(STOP_SECONDS)

    def environment(self) -> dict[str, str]:
        """What a sender of SMS needs to know."""
        return {
            "COFFER_SMS_URL": f"http://{HOST}:{self.sendsms}/cgi-bin/sendsms",
            "COFFER_SMS_USERNAME": USERNAME,
            "COFFER_SMS_PASSWORD": secret(self.directory, "sms"),
            "COFFER_SMS_FROM": "Coffer",
        }

    def _launch(self, managed: ManagedProcess, command: list[str], port: int) -> None:
        managed.start(command, port=port)
        wait_until(lambda: managed.require_alive() and is_listening(port), START_SECONDS, managed.name)

    def _configuration(self) -> Path:
        (self.directory / "reports").mkdir(parents=True, exist_ok=True)
        path = self.directory / "kannel.conf"
        text = CONFIGURATION.format(
            host=HOST,
            home=self.directory,
            username=USERNAME,
            password=secret(self.directory, "sms"),
            admin=self.admin,
            box=self.box,
            centre=self.centre,
            sendsms=self.sendsms,
        )
        path.write_text(text)
        return path

    def _centre_is_online(self) -> bool:
        self.phones.require_alive()
        url = f"http://{HOST}:{self.admin}/status.txt?password={secret(self.directory, 'sms')}"
        with urllib.request.urlopen(url, timeout=START_SECONDS) as answer:
            return "(online " in answer.read().decode()
