"""What a container's healthcheck runs: exit code 0 if PATH on PORT of this container answers 200.

usage: python -IS ops/compose/healthcheck.py PORT [PATH]

It runs every few seconds in every container, so that it imports next to nothing.
"""

import socket
import sys

ANSWER_SECONDS = 4.0
ANSWER_BYTES_SHOWN = 2_000


def is_healthy(port: int, path: str) -> bool:
    """Whether the answer is 200; what it says otherwise is printed, for `docker inspect`."""
    try:
        with socket.create_connection(("127.0.0.1", port), ANSWER_SECONDS) as connection:
            connection.sendall(f"GET {path} HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n".encode())
            answer = connection.makefile("rb").read(ANSWER_BYTES_SHOWN)
    except OSError as problem:
        print(f"port {port} does not answer: {problem}")
        return False
    status = answer.split(None, 2)[1:2]
    if status != [b"200"]:
        print(answer.decode("utf-8", "replace"))
    return status == [b"200"]


if __name__ == "__main__":
    sys.exit(not is_healthy(int(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else "/readyz"))
