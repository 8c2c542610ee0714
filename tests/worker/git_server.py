"""A git server over HTTP with one token and faults on demand: `git http-backend` behind the standard library's server."""

import base64
import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit


@dataclass
class GitServer:
    """`root` holds bare repositories; whoever shows the token may read and push."""

    root: Path
    token: str
    url: str = ""
    refuse: list[int] = field(default_factory=list)
    """Statuses that the next requests get instead of an answer."""
    redirect_to: str = ""
    """Another server that every request is sent on to."""
    lose_answers_to_pushes: int = 0
    """How many pushes are done and then left without an answer."""
    requests: list[str] = field(default_factory=list)
    tokens_seen: set[str] = field(default_factory=set)


@contextmanager
def serve_git(root: Path, token: str) -> Iterator[GitServer]:
    """Serve on a free loopback port until the block ends."""
    state = GitServer(root, token)
    http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(state))
    state.url = f"http://127.0.0.1:{http.server_address[1]}"
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield state
    finally:
        http.shutdown()
        thread.join()
        http.server_close()


def _handler(state: GitServer) -> type[BaseHTTPRequestHandler]:
    expected = "Basic " + base64.b64encode(f"oauth2:{state.token}".encode()).decode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer()

        def do_POST(self) -> None:
            self._answer()

        def log_message(self, *_: object) -> None:
            """Nothing on the terminal."""

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if self.headers.get("Transfer-Encoding") == "chunked":
                body = self._chunks()
            state.requests.append(f"{self.command} {self.path}")
            authorization = self.headers.get("Authorization", "")
            state.tokens_seen.add(authorization)
            if state.redirect_to:
                self._plain(302, Location=state.redirect_to + self.path)
            elif state.refuse:
                self._plain(state.refuse.pop(0))
            elif authorization != expected:
                self._plain(401)
            else:
                self._backend(body)

        def _chunks(self) -> bytes:
            body = b""
            while size := int(self.rfile.readline().strip() or b"0", 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            return body

        def _plain(self, status: int, **headers: str) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            if status == 401:
                self.send_header("WWW-Authenticate", 'Basic realm="GitLab"')
            self.send_header("Content-Length", "0")
            self.end_headers()

        def _backend(self, body: bytes) -> None:
            parts = urlsplit(self.path)
            environment = {
                "PATH": os.environ["PATH"],
                "GIT_PROJECT_ROOT": str(state.root),
                "GIT_HTTP_EXPORT_ALL": "1",
                "GIT_CONFIG_NOSYSTEM": "1",
                "GIT_CONFIG_GLOBAL": os.devnull,
                "PATH_INFO": parts.path,
                "QUERY_STRING": parts.query,
                "REQUEST_METHOD": self.command,
                "CONTENT_TYPE": self.headers.get("Content-Type", ""),
                "CONTENT_LENGTH": str(len(body)),
                "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
                "HTTP_GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
                "REMOTE_USER": "worker",
                "REMOTE_ADDR": "127.0.0.1",
            }
            done = subprocess.run(["git", "http-backend"], env=environment, input=body, capture_output=True, check=True)
            if parts.path.endswith("git-receive-pack") and self.command == "POST" and state.lose_answers_to_pushes:
                state.lose_answers_to_pushes -= 1
                self.close_connection = True
                return
            head, _, content = done.stdout.partition(b"\r\n\r\n")
            headers = [line.split(": ", 1) for line in head.decode().split("\r\n")]
            status = next((int(value.split()[0]) for name, value in headers if name == "Status"), 200)
            self.send_response(status)
            for name, value in headers:
                if name != "Status":
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    return Handler
