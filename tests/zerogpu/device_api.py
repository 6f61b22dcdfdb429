"""A stand-in of the device API that schedules GPUs for a ZeroGPU Space, over HTTP on the loopback."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

Query = dict[str, str]
PING_S = 0.3


@dataclass
class Lease:
    """A GPU that was given; `pid` is that of the worker once it says so."""

    token: str
    index: int
    task: str
    seconds: int
    pid: int | None = None
    timer: threading.Timer | None = None


def is_alive(pid: int | None) -> bool:
    """Whether the process runs; one that nobody has waited for yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


def kill(pid: int | None, number: int = signal.SIGKILL) -> None:
    if pid is not None and is_alive(pid):
        with suppress(ProcessLookupError):
            os.kill(pid, number)


class DeviceApi:
    """Gives GPUs, and what else `answers` says: a status, "quota", or ("queue", pings, "succeeded" or "failed").

    A worker that outlives the seconds that it asked for by `patience_s` is killed. With `reuse`, a next call of the
    same task gets the worker that is there.
    """

    def __init__(self, reuse: bool = True, patience_s: float = 30.0) -> None:
        self.reuse, self.patience_s = reuse, patience_s
        self.calls: list[tuple[str, Query]] = []
        self.answers: deque[Any] = deque()
        self.leases: dict[str, Lease] = {}
        self.abandoned = 0  # queues that the caller left
        self.pids: set[int] = set()
        self._idle: dict[int, Lease] = {}
        self._lock, self._count = threading.RLock(), 0
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> DeviceApi:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        for pid in self.pids:
            kill(pid)

    def seen(self, path: str) -> list[Query]:
        """The queries of all calls of a path."""
        return [query for called, query in list(self.calls) if called == path]

    def settled(self, seconds: float = 10.0) -> bool:
        """Wait until each GPU that was given came back: a worker says so a moment after its last answer."""
        deadline = time.monotonic() + seconds
        while len(self.seen("/schedule")) > len(self.seen("/release")) and time.monotonic() < deadline:
            time.sleep(0.02)
        return len(self.seen("/schedule")) == len(self.seen("/release"))

    def busy(self) -> list[int]:
        """The workers that hold a GPU now."""
        with self._lock:
            return [lease.pid for lease in self.leases.values() if lease.pid and is_alive(lease.pid)]

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        api = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *args: Any) -> None:
                pass

            def do_POST(self) -> None:
                url = urlsplit(self.path)
                query = {name: values[0] for name, values in parse_qs(url.query).items()}
                api.calls.append((url.path, query))
                {
                    "/startup-report": lambda: self.reply(200),
                    "/schedule": lambda: api._schedule(self, query),
                    "/allow": lambda: self.reply(api._allow(query)),
                    "/release": lambda: self.reply(api._release(query)),
                }[url.path]()

            def reply(self, status: int, body: Any = None, **headers: str) -> None:
                data = json.dumps(body).encode()
                self.send_response(status)
                for name, value in {"content-type": "application/json", **headers}.items():
                    self.send_header(name.replace("_", "-"), value)
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

        return Handler

    def _schedule(self, http: Any, query: Query) -> None:
        answer = self.answers.popleft() if self.answers else 200
        if answer == "quota":
            known = {"X_Authenticated": "regular", "X_Approve_Result": "quota-exceeded"}
            return http.reply(429, {"left": 3, "wait": 3600}, **known)
        if isinstance(answer, int):
            return http.reply(answer, self._given(query) if answer == 200 else None)
        _, pings, outcome = answer
        http.send_response(200)
        http.send_header("content-type", "text/event-stream")
        http.send_header("X-Queuing-Reason", "node")
        http.end_headers()
        try:
            for _ in range(pings):
                http.wfile.write(b"event: ping\n\n")
                http.wfile.flush()
                time.sleep(PING_S)
            data = f"\ndata: {json.dumps(self._given(query))}" if outcome == "succeeded" else ""
            http.wfile.write(f"event: {outcome}{data}\n\n".encode())
        except OSError:
            self.abandoned += 1
        return None

    def _given(self, query: Query) -> dict[str, Any]:
        with self._lock:
            taken = {lease.index for lease in self.leases.values()}
            index = next(number for number in range(1000) if number not in taken)
            self._count += 1
            lease = Lease(f"allow-{self._count}", index, query["taskId"], int(query["durationSeconds"]))
            before, idle = self._idle.pop(index, None), False
            if before is not None:
                idle = self.reuse and before.task == lease.task and is_alive(before.pid)
                if idle:
                    lease.pid = before.pid
                else:
                    kill(before.pid)
            self.leases[lease.token] = lease
            lease.timer = threading.Timer(lease.seconds + self.patience_s, lambda: kill(lease.pid))
            lease.timer.daemon = True
            lease.timer.start()
            return {"idle": idle, "nvidiaIndex": index, "nvidiaUUID": f"GPU-{index}", "allowToken": lease.token}

    def _allow(self, query: Query) -> int:
        with self._lock:
            if (lease := self.leases.get(query["allowToken"])) is None:
                return 404
            lease.pid = int(query["pid"])
            self.pids.add(lease.pid)
        return 200

    def _release(self, query: Query) -> int:
        with self._lock:
            if (lease := self.leases.pop(query["allowToken"], None)) is None:
                return 404
            if lease.timer:
                lease.timer.cancel()
            if query["fail"] == "true":
                kill(lease.pid)  # one that failed is given to nobody any more
            else:
                self._idle[lease.index] = lease
        return 200
