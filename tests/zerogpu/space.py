"""The real app as a ZeroGPU Space runs it, in a process of its own, and visitors of its page and its API."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import httpx
from gradio_client import Client

from tests.conftest import ROOT, free_port

from .device_api import DeviceApi, is_alive

EMULATION = Path(__file__).with_name("emulation.py")
START_S = 90.0


def visitor_token(user: str = "u") -> str:
    """What the Hub's proxy sends along as X-IP-Token: a JWT of which `spaces` reads the payload."""
    payload = base64.urlsafe_b64encode(json.dumps({"user": user}).encode()).decode().rstrip("=")
    return f"h.{payload}.s"


def wait_for(condition: Callable[[], Any], seconds: float = 10) -> float:
    """Seconds until it is true; fails after so many."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds, "it did not become true"
        time.sleep(0.02)
    return time.monotonic() - began


class Space:
    """The app, with patience or as it is, with the environment of a ZeroGPU Space and nothing secret in it."""

    def __init__(self, api: DeviceApi, models: Path, script: str = "tests/zerogpu/patient_app.py", **env: str) -> None:
        self.api, port = api, free_port()
        self._folder = tempfile.TemporaryDirectory(prefix="zerogpu-")
        home = self._folder.name
        self.url, self.log = f"http://127.0.0.1:{port}", Path(home, "app.log")
        self._script = script
        self._env = {
            "PATH": os.environ["PATH"],
            "HOME": home,  # where `spaces` keeps what it packs
            "SPACES_ZERO_GPU": "true",
            "SPACES_ZERO_DEVICE_API_URL": api.url,
            "SPACE_ID": "owner/paddock",
            "GRADIO_SERVER_NAME": "127.0.0.1",
            "GRADIO_SERVER_PORT": str(port),
            "GRADIO_ANALYTICS_ENABLED": "False",
            "GRADIO_TEMP_DIR": f"{home}/gradio",
            "GRADIO_SSR_MODE": "False",
            "HF_HUB_OFFLINE": "1",
            "PYTHONUNBUFFERED": "1",
            "NO_PROXY": "127.0.0.1",
            "PADDOCK_MODELS_DIR": str(models),
            "PADDOCK_ADAPTERS_DIR": f"{models}-adapters",
            "PADDOCK_CACHE_DIR": f"{home}/cache",
            "PADDOCK_HUB_IDS": "1",
            "PADDOCK_OPENAI": "1",
            "PADDOCK_THREADS": "1",
            "OMP_NUM_THREADS": "1",
            **env,
        }

    def __enter__(self) -> Space:
        with self.log.open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, str(EMULATION), str(ROOT / self._script)],
                env=self._env,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # so that no worker outlives the test
            )
        deadline = time.monotonic() + START_S
        while True:
            try:
                urllib.request.urlopen(f"{self.url}/config", timeout=5).read()
                break
            except OSError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    self.__exit__()
                    raise RuntimeError(self.printed) from None
                time.sleep(0.1)
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(5)
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self._printed = self.log.read_text(errors="replace")
        self._folder.cleanup()

    @property
    def printed(self) -> str:
        """All that the app and its workers have printed."""
        return self.log.read_text(errors="replace") if self.log.exists() else self._printed

    def processes(self) -> list[int]:
        """The app and all that descend from it and run."""
        found = subprocess.run(["ps", "-eo", "pid,sid"], capture_output=True, text=True, check=True).stdout
        rows = [line.split() for line in found.splitlines()[1:]]
        return [int(pid) for pid, sid in rows if int(sid) == self.process.pid and is_alive(int(pid))]

    def client(self, user: str = "u") -> Client:
        """A program that calls the named endpoints."""
        return Client(self.url, verbose=False, headers={"x-ip-token": visitor_token(user)})

    def visitor(self, user: str = "u") -> PageVisitor:
        """Somebody at the page."""
        return PageVisitor(self.url, user)


class PageVisitor:
    """Sends the page's own events as a browser does, and keeps the last value of every component that one changed."""

    def __init__(self, url: str, user: str = "u") -> None:
        headers = {"x-ip-token": visitor_token(user), "x-gradio-user": "app"}
        self._http = httpx.Client(base_url=url, headers=headers, timeout=60)
        config = self._http.get("/config").json()
        self.session = f"session-{id(self)}"
        self._events = config["dependencies"]
        self._components = {component["id"]: component for component in config["components"]}
        self.now = {number: each["props"].get("value") for number, each in self._components.items()}
        self.props: dict[int, dict[str, Any]] = {}
        for event in self._events:
            if event["backend_fn"] and any(name == "load" for _, name in event["targets"]):
                for _ in self._sent(event):
                    pass

    def component(self, elem_id: str) -> int:
        """The number of a component by the id that it has on the page."""
        ids = {each["props"].get("elem_id"): number for number, each in self._components.items()}
        return ids[elem_id] if elem_id in ids else ids[elem_id.replace("_", "-")]

    def event(self, elem_id: str, name: str) -> dict[str, Any]:
        """The event of a component, such as the `submit` of "message"."""
        target = [self.component(elem_id), name]
        return next(event for event in self._events if target in [list(each) for each in event["targets"]])

    def press(self, elem_id: str, name: str, event_data: Any = None, **values: Any) -> Iterator[dict[int, Any]]:
        """Put values in by the ids of their components, send an event, and yield what the page shows after each step.

        At the end `now` and `props` have the last of it; raises what Gradio reports as an error.
        """
        for other, value in values.items():
            self.now[self.component(other)] = value
        yield from self._sent(self.event(elem_id, name), event_data)

    def _sent(self, event: dict[str, Any], event_data: Any = None) -> Iterator[dict[int, Any]]:
        data = [self.now.get(number) for number in event["inputs"]]
        body = {"data": data, "fn_index": event["id"], "session_hash": self.session, "event_data": event_data}
        self._http.post("/gradio_api/queue/join", json=body).raise_for_status()
        partial: list[Any] = []
        with self._http.stream("GET", f"/gradio_api/queue/data?session_hash={self.session}") as answer:
            for line in answer.iter_lines():
                if not line.startswith("data:"):
                    continue
                message = json.loads(line.removeprefix("data:"))
                if message["msg"] in ("process_generating", "process_completed"):
                    output = message["output"]
                    if output.get("error"):
                        raise RuntimeError(output["error"])
                    data = output.get("data") or []
                    if message["msg"] == "process_generating" and partial:
                        data = [_changed(old, new) for old, new in zip(partial, data, strict=True)]
                    if data:
                        partial = data
                        self._take(event["outputs"], data)
                    yield dict(self.now)
                if message["msg"] == "process_completed":
                    return

    def pressed(self, elem_id: str, name: str, event_data: Any = None, **values: Any) -> None:
        """The same to its end."""
        for _ in self.press(elem_id, name, event_data, **values):
            pass

    def started(self, elem_id: str, name: str, **values: Any) -> threading.Thread:
        """The same in a thread of its own."""
        thread = threading.Thread(target=self.pressed, args=(elem_id, name), kwargs=values, daemon=True)
        thread.start()
        return thread

    def at_once(self, elem_id: str, name: str) -> None:
        """An event that does not wait in the queue, such as a Stop."""
        event = self.event(elem_id, name)
        data = [self.now.get(number) for number in event["inputs"]]
        body = {"data": data, "fn_index": event["id"], "session_hash": self.session}
        self._http.post("/gradio_api/run/predict", json=body).raise_for_status()

    def _take(self, outputs: list[int], data: list[Any]) -> None:
        for number, value in zip(outputs, data, strict=True):
            if isinstance(value, dict) and value.get("__type__") == "update":
                self.props.setdefault(number, {}).update(value)
                if "value" in value:
                    self.now[number] = value["value"]
            else:
                self.now[number] = value

    def shows(self, elem_id: str) -> Any:
        """The value of a component as the page has it now."""
        return self.now[self.component(elem_id)]

    def keeps(self, storage_key: str, value: Any) -> None:
        """Let the browser have kept something."""
        stored = {each["props"].get("storage_key"): number for number, each in self._components.items()}
        self.now[stored[storage_key]] = value

    def told(self, elem_id: str) -> dict[str, Any]:
        """The properties of a component that events have changed."""
        return self.props.get(self.component(elem_id), {})


class Columns(HTMLParser):
    """Of a drawn comparison: the text of each column, and its buttons by what they press."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.presses: list[dict[str, str]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attributes: Any) -> None:
        known = dict(attributes)
        if tag == "section":
            self.texts.append("")
            self.presses.append({})
        if tag == "button" and self.texts and "data-press" in known:
            self.presses[-1][known["data-press"].split("-")[0]] = known["data-press"]

    def handle_data(self, data: str) -> None:
        if self.texts:
            self.texts[-1] += data


def _changed(old: Any, steps: Any) -> Any:
    """A value after the differences that Gradio sends: (action, path, value)."""
    for action, path, value in steps:
        if not path:
            old = old + value if action == "append" else value
            continue
        place = old
        for key in path[:-1]:
            place = place[key]
        if action == "append":
            place[path[-1]] += value
        elif action == "add":
            place.insert(path[-1], value) if isinstance(place, list) else place.update({path[-1]: value})
        elif action == "delete":
            del place[path[-1]]
        else:
            place[path[-1]] = value
    return old
