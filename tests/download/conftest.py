"""An HTTP server that breaks connections, forgets ranges and changes its files."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest


@dataclass
class Served:
    """A file of the server.

    Attributes:
        content: its bytes.
        etag: entity tag; none is sent where None.
        modified: value of Last-Modified; none is sent where None.
        ranges: whether requests for a part are honoured.
        strict: whether If-Range is honoured.
        sized: whether Content-Length is sent.
        headers: sent besides.
        faults: for the requests to come, in order: a status to refuse with, or the
            number of bytes after which the connection is closed, as ("cut", n), or
            after which nothing more comes, as ("hang", n).
    """

    content: bytes
    etag: str | None = '"1"'
    modified: str | None = None
    ranges: bool = True
    strict: bool = True
    sized: bool = True
    headers: dict[str, str] = field(default_factory=dict)
    faults: list = field(default_factory=list)


class Server:
    """Serves ``files`` by path; ``requests`` holds (path, Range) of each request."""

    def __init__(self) -> None:
        self.files: dict[str, Served] = {}
        self.requests: list[tuple[str, str | None]] = []
        self.closing = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.answer(self)

            def log_message(self, *arguments: object) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        threading.Thread(
            target=self._http.serve_forever, args=(0.01,), daemon=True
        ).start()

    def add(self, name: str, content: bytes, **options) -> Served:
        self.files[f"/{name}"] = Served(content, **options)
        return self.files[f"/{name}"]

    def close(self) -> None:
        self.closing.set()
        self._http.shutdown()
        self._http.server_close()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        wanted = request.headers.get("Range")
        self.requests.append((request.path, wanted))
        file = self.files.get(request.path)
        if file is None:
            request.send_error(404)
            return
        fault = file.faults.pop(0) if file.faults else None
        if isinstance(fault, int):
            request.send_response(fault)
            for key, value in file.headers.items():
                request.send_header(key, value)
            request.end_headers()
            return
        start, status = 0, 200
        condition = request.headers.get("If-Range")
        same = condition in (None, file.etag, file.modified) or not file.strict
        if wanted and file.ranges and same:
            start, status = int(wanted[len("bytes=") : -1]), 206
        size = len(file.content)
        if start >= size and status == 206:
            request.send_response(416)
            request.send_header("Content-Range", f"bytes */{size}")
            request.end_headers()
            return
        request.send_response(status)
        if status == 206:
            request.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
        if file.sized:
            request.send_header("Content-Length", str(size - start))
        if file.etag:
            request.send_header("ETag", file.etag)
        if file.modified:
            request.send_header("Last-Modified", file.modified)
        for key, value in file.headers.items():
            request.send_header(key, value)
        request.end_headers()
        body = file.content[start:]
        if fault is not None:
            kind, count = fault
            request.wfile.write(body[:count])
            request.wfile.flush()
            if kind == "hang":
                self.closing.wait(5)
            request.connection.close()
            return
        request.wfile.write(body)


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server()
    yield running
    running.close()
