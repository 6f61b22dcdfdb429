"""A small server that speaks the Hub's own protocol: model info, lists by a tag, access checks and downloads."""

from __future__ import annotations

import hashlib
import json
import re
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

PIECE = 64 * 1024


def git_commit(text: str) -> str:
    return hashlib.sha1(text.encode()).hexdigest()


def git_blob(data: bytes) -> str:
    """What git, and with it the Hub, calls a small file."""
    return hashlib.sha1(f"blob {len(data)}\0".encode() + data).hexdigest()


@dataclass
class Repo:
    """A model repository with one commit, and the ways in which serving it can go wrong."""

    files: dict[str, bytes]
    commit: str = git_commit("first")
    gated: bool = False
    private: bool = False
    readers: set[str] = field(default_factory=set)  # tokens that may read it when it is gated or private
    waiting: set[str] = field(default_factory=set)  # tokens of accounts that asked for access
    licence: str = "apache-2.0"
    tags: tuple[str, ...] = ()
    popularity: tuple[int, int] = (0, 0)  # downloads, likes
    parameters: int | None = None
    claimed_sizes: dict[str, int] = field(default_factory=dict)
    pause_s: float = 0.0  # between two pieces of a large file
    drop_at: dict[str, int] = field(default_factory=dict)  # break the connection once after so many bytes
    damage: set[str] = field(default_factory=set)  # send other bytes of the same length, once

    def is_large(self, name: str) -> bool:
        return name.endswith((".safetensors", ".gguf", ".bin"))

    def sha256(self, name: str) -> str:
        return hashlib.sha256(self.files[name]).hexdigest()


@dataclass
class Request:
    method: str
    path: str
    token: str | None
    range: str | None
    query: dict[str, list[str]] = field(default_factory=dict)


class FakeHub:
    """Repositories by id, and every request that came."""

    def __init__(self) -> None:
        self.repos: dict[str, Repo] = {}
        self.requests: list[Request] = []
        self.status: int | None = None  # answer everything with it
        self.unscoped: set[str] = set()  # fine-grained tokens that may not read gated repositories
        self.revoked: set[str] = set()
        self.quotas: dict[str | None, float] = {}  # seconds of ZeroGPU that are left, by token
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def downloads(self, name: str) -> list[Request]:
        return [request for request in self.requests if request.method == "GET" and request.path.endswith(f"/{name}")]

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_HEAD(self) -> None:
                hub.answer(self)

            def do_GET(self) -> None:
                hub.answer(self)

            def log_message(self, *_: Any) -> None:
                return

        return Handler

    def answer(self, to: BaseHTTPRequestHandler) -> None:
        address = urlsplit(to.path)
        path, query = unquote(address.path), parse_qs(address.query)
        token = (to.headers.get("Authorization") or "").removeprefix("Bearer ") or None
        self.requests.append(Request(to.command, path, token, to.headers.get("Range"), query))
        if self.status:
            return _send(to, self.status, b"")
        if token in self.revoked:
            return _send(to, 401, b"", {"X-Error-Message": "Invalid credentials in Authorization header"})
        if path == "/api/spaces/zero-gpu/quota":
            if token not in self.quotas:
                return _send(to, 401, b"")
            quota = {"base": 1500, "current": self.quotas[token], "resetsAt": None, "overquotaUsed": None}
            return _send(to, 200, json.dumps(quota).encode(), {"Content-Type": "application/json"})
        if path == "/api/models":
            return self._list(to, query, token)
        if found := re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/(auth-check|revision/.+))?", path):
            return self._api(to, found[1], found[2] or "", token)
        if found := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            return self._file(to, found[1], found[2], found[3], token)
        return _send(to, 404, b"")

    def _list(self, to: BaseHTTPRequestHandler, query: dict[str, list[str]], token: str | None) -> None:
        seen = {name: repo for name, repo in self.repos.items() if not repo.private or token in repo.readers}
        found = [name for name, repo in seen.items() if set(query.get("filter", ())) <= set(repo.tags)]
        if query.get("sort") == ["downloads"]:
            found.sort(key=lambda name: -seen[name].popularity[0])
        listed = [
            {
                "_id": git_commit(name)[:24],
                "id": name,
                "downloads": seen[name].popularity[0],
                "likes": seen[name].popularity[1],
                "lastModified": "2025-01-31T12:00:00.000Z",
            }
            for name in found[: int(query.get("limit", ["1000"])[0])]
        ]
        _send(to, 200, json.dumps(listed).encode(), {"Content-Type": "application/json"})

    def _api(self, to: BaseHTTPRequestHandler, repo_id: str, rest: str, token: str | None) -> None:
        repo = self.repos.get(repo_id)
        if repo is None or (repo.private and token not in repo.readers):
            return _send(to, 404, b"", {"X-Error-Code": "RepoNotFound"})
        if rest == "auth-check":
            return self._refuse(to, repo, token) if repo.gated and token not in repo.readers else _send(to, 200, b"{}")
        revision = rest.removeprefix("revision/")
        if revision not in ("", "main", repo.commit):
            return _send(to, 404, b"", {"X-Error-Code": "RevisionNotFound"})
        siblings = []
        for name, data in repo.files.items():
            entry: dict[str, Any] = {"rfilename": name, "size": repo.claimed_sizes.get(name, len(data)), "blobId": "0"}
            if repo.is_large(name):
                entry["lfs"] = {"sha256": repo.sha256(name), "size": len(data), "pointerSize": 100}
            siblings.append(entry)
        info = {"id": repo_id, "sha": repo.commit, "siblings": siblings, "tags": [], "private": repo.private}
        info |= {"gated": "manual" if repo.gated else False, "cardData": {"license": repo.licence}}
        if repo.parameters:
            info["safetensors"] = {"parameters": {"F32": repo.parameters}, "total": repo.parameters}
        return _send(to, 200, json.dumps(info).encode(), {"Content-Type": "application/json"})

    def _refuse(self, to: BaseHTTPRequestHandler, repo: Repo, token: str | None) -> None:
        if token in self.unscoped:
            said = "Please enable access to public gated repositories in your fine-grained token settings to view this."
            return _send(to, 403, b"", {"X-Error-Message": said})
        said = "Access to this model is restricted and you are not in the authorized list."
        if token in repo.waiting:
            said = "Your request to access this model is awaiting a review from the repo authors."
        return _send(to, 403 if token else 401, b"", {"X-Error-Code": "GatedRepo", "X-Error-Message": said})

    def _file(self, to: BaseHTTPRequestHandler, repo_id: str, commit: str, name: str, token: str | None) -> None:
        repo = self.repos.get(repo_id)
        if repo is None or (repo.private and token not in repo.readers):
            return _send(to, 404, b"", {"X-Error-Code": "RepoNotFound"})
        if repo.gated and token not in repo.readers:
            return self._refuse(to, repo, token)
        if commit != repo.commit:
            return _send(to, 404, b"", {"X-Error-Code": "RevisionNotFound"})
        if name not in repo.files:
            return _send(to, 404, b"", {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": repo.commit})
        data = repo.files[name]
        headers = {"X-Repo-Commit": repo.commit, "Accept-Ranges": "bytes"}
        if repo.is_large(name):
            headers |= {"ETag": f'"{repo.sha256(name)}"', "X-Linked-Size": str(len(data))}
            headers["X-Linked-ETag"] = headers["ETag"]
        else:
            headers["ETag"] = f'"{git_blob(data)}"'
        if to.command == "GET" and name in repo.damage:
            repo.damage.remove(name)
            data = data[:-1] + bytes([data[-1] ^ 1])
        start, status = 0, 200
        stop = len(data)
        if found := re.fullmatch(r"bytes=(\d+)-(\d*)", to.headers.get("Range") or ""):
            start, status = int(found[1]), 206
            stop = min(stop, int(found[2]) + 1) if found[2] else stop
            headers["Content-Range"] = f"bytes {start}-{stop - 1}/{len(data)}"
        return _send(
            to,
            status,
            data[start:stop],
            headers,
            repo.pause_s,
            repo.drop_at.pop(name, None) if to.command == "GET" else None,
        )


def _send(
    to: BaseHTTPRequestHandler,
    status: int,
    body: bytes,
    headers: dict[str, str] | None = None,
    pause_s: float = 0.0,
    drop_at: int | None = None,
) -> None:
    to.send_response(status)
    for name, value in (headers or {}).items():
        to.send_header(name, value)
    to.send_header("Content-Length", str(len(body)))
    to.end_headers()
    if to.command == "HEAD":
        return
    try:
        for at in range(0, len(body), PIECE):
            piece = body[at : at + PIECE]
            if drop_at is not None and at + len(piece) > drop_at:
                to.wfile.flush()
                to.close_connection = True
                to.connection.close()
                return
            to.wfile.write(piece)
            if pause_s and len(body) > PIECE:
                time.sleep(pause_s)
    except OSError:  # the client has left
        to.close_connection = True
