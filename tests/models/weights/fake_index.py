"""A small server that speaks the package index's own protocol (PEP 503): a page a package, with hashes, and files."""

from __future__ import annotations

import hashlib
import re
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

PIECE = 16 * 1024


class FakeIndex:
    """Serves the wheels of a folder, counts what was asked for, and may go wrong as networks do."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files: Counter[str] = Counter()  # by distribution: how often its file was asked for
        self.order: list[str] = []
        self.cut: set[str] = set()  # distributions whose file breaks off in the middle, once
        self.silent: set[str] = set()  # those whose file stops in the middle, with the connection open
        self.pause_s = 0.0  # between two pieces
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/simple"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        index = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if found := re.fullmatch(r"/simple/([a-z0-9-]+)/", self.path):
                    return self._page(found[1].replace("-", "_"))
                return self._file(index.folder / Path(self.path).name)

            def _page(self, distribution: str) -> None:
                wheels = sorted(index.folder.glob(f"{distribution}-*.whl"))
                hashes = [hashlib.sha256(path.read_bytes()).hexdigest() for path in wheels]
                links = [
                    f'<a href="/files/{path.name}#sha256={digest}">{path.name}</a>'
                    for path, digest in zip(wheels, hashes, strict=True)
                ]
                body = f"<!DOCTYPE html><html><body>{''.join(links)}</body></html>".encode()
                self.send_response(200 if wheels else 404)
                self.send_header("Content-Type", "text/html")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def _file(self, path: Path) -> None:
                name, data = path.name.partition("-")[0], path.read_bytes()
                index.files[name] += 1
                index.order.append(name)
                self.send_response(200)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                for start in range(0, len(data), PIECE):
                    if start >= len(data) // 2 and name in index.cut:
                        index.cut.discard(name)
                        self.close_connection = True
                        return
                    while start >= len(data) // 2 and name in index.silent:
                        time.sleep(0.05)
                    self.wfile.write(data[start : start + PIECE])
                    time.sleep(index.pause_s)

            def log_message(self, *_: object) -> None:
                pass

        return Handler
