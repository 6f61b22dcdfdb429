"""A small server that behaves like Meta's: signed links that expire, a limit of downloads, no HEAD, cut connections."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

KEY = b"meta's"
SECRET = "SIGNED"  # part of every signature, so that tests can look for it
PIECE = 16 * 1024


class FakeMeta:
    """Files by their paths, and the ways in which serving them can go wrong."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files
        self.asked: list[tuple[str, str, str]] = []  # method, path, range
        self.most = 10_000  # requests that a link is good for
        self.cut: list[int] = []  # of the next answers of more than 1000 bytes, after how many the connection breaks
        self.stop_at: dict[str, int] = {}  # every answer ends at this byte of the file
        self.pause_s = 0.0  # between two pieces
        self.under_way = self.most_under_way = 0
        self._lock = threading.Lock()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def link(self, lives_s: float = 3600.0) -> str:
        statement = {
            "unique_hash": "x",
            "Resource": f"{self.url}/*",
            "Condition": {"DateLessThan": {"AWS:EpochTime": int(time.time() + lives_s)}},
        }
        raw = base64.b64encode(json.dumps({"Statement": [statement]}).encode()).decode()
        policy = raw.translate(str.maketrans("+=/", "-_~"))
        return f"{self.url}/*?Policy={policy}&Signature={quote(_signed(policy))}&Key-Pair-Id=K15&Download-Request-ID=1"

    def sent(self, name: str) -> list[str]:
        """The ranges that were asked for of a file."""
        return [span for _, path, span in self.asked if path.endswith(name)]

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        meta = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_HEAD(self) -> None:
                self.send_error(403)

            def do_GET(self) -> None:
                with meta._lock:
                    meta.under_way += 1
                    meta.most_under_way = max(meta.most_under_way, meta.under_way)
                try:
                    meta.answer(self)
                finally:
                    with meta._lock:
                        meta.under_way -= 1

            def log_message(self, *_: Any) -> None:
                return

        return Handler

    def answer(self, to: BaseHTTPRequestHandler) -> None:
        address = urlsplit(to.path)
        path, query = unquote(address.path).lstrip("/"), parse_qs(address.query)
        span = to.headers.get("Range") or ""
        self.asked.append((to.command, path, span))
        policy = query.get("Policy", [""])[0]
        until = 0.0
        if query.get("Signature", [""])[0] == _signed(policy):
            plain = json.loads(base64.b64decode(policy.translate(str.maketrans("-_~", "+=/"))))
            until = plain["Statement"][0]["Condition"]["DateLessThan"]["AWS:EpochTime"]
        if until < time.time() or len(self.asked) > self.most or path not in self.files:
            # S3 says no more than that of a file that is not there.
            return _send(to, 403, f"<Error>AccessDenied {to.path}</Error>".encode(), {})
        data = self.files[path]
        headers = {"ETag": f'"{hashlib.md5(data).hexdigest()}"', "Accept-Ranges": "bytes"}
        first, last, status = 0, len(data) - 1, 200
        if found := re.fullmatch(r"bytes=(\d+)-(\d*)", span):
            first, last, status = int(found[1]), min(int(found[2] or len(data)), len(data) - 1), 206
            headers["Content-Range"] = f"bytes {first}-{last}/{len(data)}"
        body = data[first : last + 1]
        sent = len(body)
        if len(body) > 1000 and self.cut:
            sent = min(sent, self.cut.pop(0))
        if path in self.stop_at:
            sent = min(sent, max(0, self.stop_at[path] - first))
        return _send(to, status, body, headers, sent, self.pause_s)


def _signed(policy: str) -> str:
    return f"{SECRET}~{hmac.new(KEY, policy.encode(), hashlib.sha256).hexdigest()}"


def _send(
    to: BaseHTTPRequestHandler, status: int, body: bytes, headers: dict[str, str], sent: int = -1, pause_s: float = 0.0
) -> None:
    to.send_response(status)
    for name, value in ({"Content-Length": str(len(body))} | headers).items():
        to.send_header(name, value)
    to.end_headers()
    try:
        for at in range(0, len(body) if sent < 0 else sent, PIECE):
            to.wfile.write(body[at : min(at + PIECE, len(body) if sent < 0 else sent)])
            time.sleep(pause_s)
    except OSError:
        to.close_connection = True
    if 0 <= sent < len(body):
        to.close_connection = True
        to.connection.close()
