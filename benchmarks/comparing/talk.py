"""One request and its answer in each protocol, for what is not measured: preparing and counting."""

import json
import socket
from typing import Any

PATIENCE_S = 20.0


def _connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)


def lines_until(port: int, request: bytes, last: bytes) -> list[bytes]:
    """Send a request; the lines of its answer, up to one that begins so."""
    with _connect(port) as sock, sock.makefile("rb") as replies:
        sock.sendall(request)
        lines = []
        for line in replies:
            lines.append(line.rstrip())
            if line.startswith(last):
                return lines
    raise ConnectionError(f"no {last!r} in {lines!r}")


def redis(port: int, *words: str) -> bytes:
    """A command that answers with one line.

    Raises:
        ConnectionError: Redis answers with an error, that it is still loading, say.
    """
    request = b"*%d\r\n" % len(words)
    request += b"".join(b"$%d\r\n%b\r\n" % (len(word), word.encode()) for word in words)
    answer = lines_until(port, request, b"")[0]
    if answer.startswith(b"-"):
        raise ConnectionError(f"{words}: {answer.decode()}")
    return answer


def jetstream(port: int, what: str, request: dict[str, Any]) -> dict[str, Any]:
    """A request to JetStream's API, `STREAM.INFO.S`, say.

    Raises:
        ConnectionError: JetStream answers with an error, or is not there yet.
    """
    payload = json.dumps(request).encode()
    with _connect(port) as sock, sock.makefile("rb") as replies:
        sock.sendall(
            b'CONNECT {"verbose":false,"headers":true,"no_responders":true}\r\nSUB _I.0.0 1\r\n'
            b"PUB $JS.API.%b _I.0.0 %d\r\n%b\r\n" % (what.encode(), len(payload), payload)
        )
        for line in replies:
            if line.startswith((b"MSG ", b"HMSG ")):
                answer = replies.read(int(line.split()[-1]))
                if line.startswith(b"HMSG "):
                    raise ConnectionError(f"{what}: {answer!r}")
                found: dict[str, Any] = json.loads(answer)
                if "error" in found:
                    raise ConnectionError(f"{what}: {found['error']}")
                return found
    raise ConnectionError(f"{what}: NATS closed the connection")
