"""A small server that speaks the Hub's own protocol for Spaces and models: create, LFS, commit, settings."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

WRITER = "hf_writer"
SETTINGS = ("runtime", "variables", "secrets", "hardware", "logs/build", "logs/run", "settings")


@dataclass
class Space:
    """A Space as the Hub keeps it."""

    files: dict[str, bytes] = field(default_factory=lambda: {".gitattributes": b"*.safetensors lfs", "README.md": b""})
    private: bool = False
    hardware: str = "cpu-basic"
    variables: dict[str, str] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)
    commits: list[list[str]] = field(default_factory=list)  # the paths that each changed

    @property
    def sha(self) -> str:
        return hashlib.sha1(str(len(self.commits)).encode()).hexdigest()


class FakeSpaces:
    """Spaces by name; `stages` are told one after another, the last for good."""

    def __init__(self) -> None:
        self.spaces: dict[str, Space] = {}
        self.stored: dict[str, bytes] = {}  # LFS objects by SHA-256
        self.stages = ["BUILDING", "APP_STARTING", "RUNNING"]
        self.refuse: dict[str, tuple[int, str]] = {}  # method and start of a path: status and sentence
        self.cut: list[int] = []  # of the next LFS uploads, how many bytes are read before the connection breaks
        self.put: list[str] = []  # LFS objects that were sent, whole or not
        self.asked: list[tuple[str, str, str]] = []  # method, path, token
        self.models: list[dict[str, str]] | None = [{"key": "a"}, {"key": "b"}]
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                hub.answer(self)

            do_POST = do_PUT = do_DELETE = do_GET

            def log_message(self, *_: Any) -> None:
                return

        return Handler

    def answer(self, to: BaseHTTPRequestHandler) -> None:
        method, path = to.command, unquote(urlsplit(to.path).path)
        token = (to.headers.get("Authorization") or "").removeprefix("Bearer ")
        self.asked.append((method, path, token))
        if found := re.fullmatch(r"/lfs/(\w+)", path):
            return self._take(to, found[1])
        body = to.rfile.read(int(to.headers.get("Content-Length") or 0))
        for start, (status, sentence) in self.refuse.items():
            if f"{method} {path}".startswith(start):
                return _send(to, status, {"error": sentence})
        if path.startswith("/gradio_api/call/models"):
            return self._app(to, path)
        if token != WRITER:
            return _send(to, 401, {"error": "Invalid username or password."})
        return self._route(to, path, body)

    def _route(self, to: BaseHTTPRequestHandler, path: str, body: bytes) -> None:
        if path == "/api/repos/create":
            return self._create(to, json.loads(body))
        if path == "/api/validate-yaml":
            return _send(to, 200, {"errors": [], "warnings": []})
        if found := re.fullmatch(r"/(?:spaces/)?([^/]+/[^/]+)\.git/info/lfs/objects/batch", path):
            return self._batch(to, json.loads(body))
        found = re.fullmatch(r"/api/(?:spaces|models)/([^/]+/[^/]+)(?:/(.+))?", path)
        if found is None or found[1] not in self.spaces:
            return _send(to, 404, {"error": "Repository not found"}, {"X-Error-Code": "RepoNotFound"})
        space, what = self.spaces[found[1]], found[2] or ""
        if what in SETTINGS:
            return self._setting(to, space, what, json.loads(body or b"{}"))
        if what == "preupload/main":
            return _send(to, 200, {"files": [self._mode(space, file) for file in json.loads(body)["files"]]})
        if what == "commit/main":
            return self._commit(to, found[1], space, [json.loads(line) for line in body.splitlines()])
        if what.startswith("tree/main"):
            files = [{"type": "file", "path": n, "size": len(d), "oid": "0"} for n, d in space.files.items()]
            return _send(to, 200, files)
        info = {
            "id": found[1],
            "sha": space.sha,
            "siblings": [],
            "private": space.private,
            "tags": [],
            "host": self.url,
        }
        return _send(to, 200, info)

    def _create(self, to: BaseHTTPRequestHandler, asked: dict[str, Any]) -> None:
        name = f"{asked['organization']}/{asked['name']}"
        if name in self.spaces:
            return _send(to, 409, {"error": "You already created this space repo", "url": f"{self.url}/spaces/{name}"})
        assert (asked.get("type"), asked.get("sdk")) in (("space", "gradio"), ("model", None), (None, None))
        self.spaces[name] = Space(
            private=asked.get("visibility") == "private",
            hardware=asked.get("hardware") or "cpu-basic",
            variables={one["key"]: one["value"] for one in asked.get("variables", ())},
            secrets={one["key"]: one["value"] for one in asked.get("secrets", ())},
        )
        return _send(to, 200, {"url": f"{self.url}/spaces/{name}"})

    def _setting(self, to: BaseHTTPRequestHandler, space: Space, what: str, sent: dict[str, Any]) -> None:
        if what.startswith("logs/"):
            line = json.dumps({"data": f"{what}: No matching distribution\n", "timestamp": "2026-01-01T00:00:00Z"})
            return _send(to, 200, f"data: {line}\n\n".encode())
        if what == "settings":
            space.private = sent.get("visibility", "private" if sent.get("private") else "") == "private"
        if what == "hardware":
            space.hardware = sent["flavor"]
        if what in ("runtime", "hardware"):
            stage = self.stages.pop(0) if len(self.stages) > 1 else self.stages[0]
            hardware = {"current": None if stage == "BUILDING" else space.hardware, "requested": space.hardware}
            return _send(to, 200, {"stage": stage, "hardware": hardware, "sha": space.sha})
        kept = space.variables if what == "variables" else space.secrets
        if to.command == "POST":
            kept[sent["key"]] = sent["value"]
        return _send(to, 200, {key: {"value": value} for key, value in space.variables.items()})

    def _mode(self, space: Space, file: dict[str, Any]) -> dict[str, Any]:
        large, data = file["path"].endswith((".safetensors", ".gguf")), space.files.get(file["path"])
        oid = None
        if data is not None:
            blob = f"blob {len(data)}\0".encode() + data
            oid = hashlib.sha256(data).hexdigest() if large else hashlib.sha1(blob).hexdigest()
        mode = "lfs" if large else "regular"
        return {"path": file["path"], "uploadMode": mode, "shouldIgnore": False, "oid": oid}

    def _batch(self, to: BaseHTTPRequestHandler, asked: dict[str, Any]) -> None:
        objects = [
            {"oid": one["oid"], "size": one["size"]}
            | ({} if one["oid"] in self.stored else {"actions": {"upload": {"href": f"{self.url}/lfs/{one['oid']}"}}})
            for one in asked["objects"]
        ]
        _send(to, 200, {"transfer": "basic", "objects": objects})

    def _take(self, to: BaseHTTPRequestHandler, oid: str) -> None:
        self.put.append(oid)
        if self.cut:
            to.rfile.read(self.cut.pop(0))
            to.close_connection = True
            to.connection.close()
            return
        data = to.rfile.read(int(to.headers["Content-Length"]))
        if len(data) < int(to.headers["Content-Length"]):
            return  # who sent it has gone
        assert hashlib.sha256(data).hexdigest() == oid
        self.stored[oid] = data
        _send(to, 200, {})

    def _commit(self, to: BaseHTTPRequestHandler, name: str, space: Space, lines: list[dict[str, Any]]) -> None:
        changed = []
        for line in lines[1:]:
            kind, value = line["key"], line["value"]
            changed.append(value["path"])
            if kind == "deletedFile":
                del space.files[value["path"]]
            elif kind == "file":
                space.files[value["path"]] = base64.b64decode(value["content"])
            else:
                space.files[value["path"]] = self.stored[value["oid"]]
        space.commits.append(changed)
        url = f"{self.url}/spaces/{name}/commit/{space.sha}"
        _send(to, 200, {"success": True, "commitOid": space.sha, "commitUrl": url, "hookOutput": ""})

    def _app(self, to: BaseHTTPRequestHandler, path: str) -> None:
        if path.endswith("/models"):
            return _send(to, 200, {"event_id": "e1"})
        kind, data = ("error", None) if self.models is None else ("complete", [self.models])
        return _send(to, 200, f"event: {kind}\ndata: {json.dumps(data)}\n\n".encode())


def _send(to: BaseHTTPRequestHandler, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    to.send_response(status)
    kind = "text/event-stream" if isinstance(body, bytes) else "application/json"
    for name, value in ({"Content-Type": kind, "Content-Length": str(len(raw))} | (headers or {})).items():
        to.send_header(name, value)
    to.end_headers()
    to.wfile.write(raw)
