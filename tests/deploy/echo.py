"""A server that answers with what reached it, to see what a proxy makes of a request."""

import contextlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

LARGE = 64 << 20


@dataclass
class Echo:
    """`begun` is set when a request's headers are there, whether its body is or not."""

    port: int
    begun: threading.Event = field(default_factory=threading.Event)


@contextlib.contextmanager
def echoing() -> Iterator[Echo]:
    """A server on a port of its own."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    server.echo = Echo(server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield server.echo
    finally:
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path == "/large":
            self._send(200, bytes(LARGE))
            return
        headers = [[name.lower(), value] for name, value in self.headers.items()]
        said = {"port": self.server.echo.port, "path": self.path, "headers": headers}
        self._send(200, json.dumps(said).encode())

    def do_POST(self) -> None:
        self.server.echo.begun.set()
        left = int(self.headers.get("content-length", 0))
        while left > 0:
            piece = self.rfile.read(min(left, 1 << 20))
            if not piece:  # the proxy broke off
                self.close_connection = True
                return
            left -= len(piece)
        self.do_GET()

    def _send(self, status: int, body: bytes) -> None:
        self.send_response(status)
        for name, value in (
            ("Content-Length", str(len(body))),
            ("Content-Type", "text/html"),
            ("Strict-Transport-Security", "max-age=1"),
            ("Content-Security-Policy", "default-src 'none'"),
        ):
            self.send_header(name, value)
        self.end_headers()
        with contextlib.suppress(ConnectionError):
            self.wfile.write(body)

    def log_message(self, *_said: object) -> None:
        """Says nothing."""
