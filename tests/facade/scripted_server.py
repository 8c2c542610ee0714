"""A GitLab that says exactly what a test tells it, byte by byte where it must, and remembers what it was asked."""

import json
import socket
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from http.client import responses
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True, slots=True)
class Reply:
    """What to answer. `hang_up`: close the connection instead; `wait`: hold the answer until the event is set."""

    status: int = 200
    document: object = None
    text: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    hang_up: bool = False
    close_after: bool = False
    wait: threading.Event | None = None

    @property
    def body(self) -> bytes:
        return (json.dumps(self.document) if self.text is None else self.text).encode()

    @property
    def media_type(self) -> str:
        return "application/json" if self.text is None else "text/html"


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    connection: int
    """The client's port: requests with the same one shared a connection."""

    @property
    def document(self) -> object:
        return json.loads(self.body)


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: a client that timed out is what the tests are about."""


class ScriptedServer:
    """Answers the replies in their order, then `otherwise`."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.replies: deque[Reply] = deque()
        self.otherwise: Callable[[Request], Reply] = lambda _: Reply(404, {"message": "404 Not scripted"})
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def will(self, *replies: Reply) -> None:
        self.replies.extend(replies)

    def asked(self) -> list[str]:
        return [f"{request.method} {request.path.partition('?')[0]}" for request in self.requests]

    def answer_to(self, request: Request) -> Reply:
        with self._lock:
            self.requests.append(request)
            return self.replies.popleft() if self.replies else self.otherwise(request)

    @contextmanager
    def running(self) -> Iterator["ScriptedServer"]:
        thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()
            thread.join()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        script = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
                """Say nothing."""

            def _serve(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                port = int(self.client_address[1])
                reply = script.answer_to(Request(self.command, self.path, dict(self.headers.items()), body, port))
                if reply.wait is not None:
                    reply.wait.wait(10)
                self.close_connection = reply.hang_up or reply.close_after
                if not reply.hang_up:
                    self._send(reply)

            def _send(self, reply: Reply) -> None:
                self.send_response(reply.status, responses.get(reply.status, "?"))
                body = b"" if reply.status == HTTPStatus.NO_CONTENT else reply.body  # a client reads none after it
                headers = {"Content-Type": reply.media_type, "Content-Length": str(len(body)), **reply.headers}
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = _serve

        return Handler


def refused_url() -> str:
    """An address on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"
