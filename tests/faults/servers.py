"""Real servers on loopback that keep all they receive: plain, with TLS, and a proxy."""

from __future__ import annotations

import re
import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType

CERTIFICATES = Path(__file__).parent / "certificates"
AUTHORITY = CERTIFICATES / "authority.pem"
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"


def whole_request(connection: socket.socket) -> bytes:
    """Return one request with its body; what is no HTTP, as it came."""
    got = connection.recv(65536)
    while b" HTTP/1.1\r\n" in got and b"\r\n\r\n" not in got and (more := connection.recv(65536)):
        got += more
    head, _, body = got.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)content-length: (\d+)", head)
    while length and len(body) < int(length[1]) and (more := connection.recv(65536)):
        body += more
        got += more
    return got


class Server:
    """A server that answers each connection's first request with what *answer* makes of it.

    Attributes:
        received: the bytes of each connection, after TLS where there is any.
        refused: what went wrong in each handshake.
    """

    def __init__(self, answer: bytes | Callable[[bytes], bytes] = OK, *, certificate: str = "") -> None:
        self.received: list[bytes] = []
        self.refused: list[str] = []
        self._answer = answer if callable(answer) else lambda _: answer
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER) if certificate else None
        if self._context is not None:
            self._context.load_cert_chain(CERTIFICATES / f"{certificate}.pem")
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve, daemon=True)

    @property
    def port(self) -> int:
        port: int = self._listener.getsockname()[1]
        return port

    @property
    def url(self) -> str:
        return f"{'https' if self._context else 'http'}://127.0.0.1:{self.port}"

    def __enter__(self) -> Server:
        self._thread.start()
        return self

    def __exit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(5)
                self._talk(connection)

    def _talk(self, connection: socket.socket) -> None:
        try:
            wrapped = self._context.wrap_socket(connection, server_side=True) if self._context else connection
        except (ssl.SSLError, OSError) as error:
            self.refused.append(str(error))
            return
        with wrapped, suppress(OSError):
            self.handle(wrapped)

    def handle(self, connection: socket.socket) -> None:
        got = whole_request(connection)
        if not got:
            self.refused.append("closed before a word was said")
            return
        self.received.append(got)
        connection.sendall(self._answer(got))


class Proxy(Server):
    """A proxy that keeps all that passes through it, and leads every CONNECT to one server."""

    def __init__(self, leads_to: Server) -> None:
        super().__init__()
        self._leads_to = leads_to

    def handle(self, connection: socket.socket) -> None:
        at = len(self.received)
        self.received.append(whole_request(connection))
        with socket.create_connection(("127.0.0.1", self._leads_to.port), timeout=5) as onward:
            connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            back = threading.Thread(target=self._pass_back, args=(onward, connection), daemon=True)
            back.start()
            with suppress(OSError):
                while got := connection.recv(65536):
                    self.received[at] += got
                    onward.sendall(got)
                onward.shutdown(socket.SHUT_WR)
            back.join(5)

    @staticmethod
    def _pass_back(onward: socket.socket, connection: socket.socket) -> None:
        with suppress(OSError):
            while got := onward.recv(65536):
                connection.sendall(got)
        with suppress(OSError):
            connection.shutdown(socket.SHUT_WR)
