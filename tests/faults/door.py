"""One address for all instances of a service, as a load balancer gives it: whoever answers first, answers."""

import threading
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

import httpx

from ops.local.ports import HOST

ANSWER_SECONDS_MAX: Final = 2.0


class Door:
    """Passes GET requests on to the first instance that answers; 503 when none does."""

    def __init__(self, ports: Sequence[int]) -> None:
        self.ports = ports
        self._server = ThreadingHTTPServer((HOST, 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, name="door", daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self._server.server_address[1]}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def ask(self, path: str) -> int:
        """The status of the first instance that answers."""
        for port in self.ports:
            try:
                return httpx.get(f"http://{HOST}:{port}{path}", timeout=ANSWER_SECONDS_MAX).status_code
            except httpx.TransportError:
                continue
        return 503

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        door = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(door.ask(self.path))
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Says nothing: what matters, the services log."""

        return Handler
