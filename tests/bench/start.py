"""From the start of a process to its page, and to the first token of the first visitor; weights are cached.

Against the usual chat app in ten lines, and against a Gradio app with nothing in it.
"""

from __future__ import annotations

import json
import statistics
import time

import httpx

from .client import PATIENCE_S, ask, connect
from .processes import HERE, Stage, served
from .report import Row, Target, print_rows, quiet_watch, spread

HELLO = "Tell me something about foxes."


def start(stage: Stage, repeats: int) -> None:
    """Cold processes in turns; the visitor sends as soon as the page is up."""
    print("### start: cold process, warm weights\n")
    commands = {"Paddock": ("app.py",), "ten-line app": (str(HERE / "ten_line_app.py"), stage.snapshot, "32")}
    page: dict[str, list[float]] = {name: [] for name in ("Paddock", "ten-line app", "empty app")}
    token: dict[str, list[float]] = {name: [] for name in commands}
    after: list[float] = []
    with quiet_watch():
        for _ in range(repeats):
            with served(str(HERE / "empty_app.py")) as app:
                page["empty app"].append(app.page_s)
            for name, command in commands.items():
                with served(*command) as app:
                    client = connect(app.url)
                    asked = time.perf_counter()
                    answer = ask(client, HELLO, **({"max_new_tokens": 32} if name == "Paddock" else {}))
                page[name].append(app.page_s)
                token[name].append(asked + answer.ttft_s - app.started)
            with served("app.py") as app:  # without a client that first reads what the app is
                after.append(_first_token_s(app.url))
                page["Paddock"].append(app.page_s)
        rows = []
        for what, seconds, limit in (("page up", page, 5), ("first token", token, 8)):
            ours, usual = (statistics.median(seconds[name]) for name in commands)
            rows += [
                Row(f"ten-line app: {what}", spread(seconds["ten-line app"], "s", 2)),
                Row(
                    f"Paddock: {what}", spread(seconds["Paddock"], "s", 2), ours / usual, Target("<", limit, " s"), ours
                ),
            ]
        ours, empty = statistics.median(page["Paddock"]), statistics.median(page["empty app"])
        late = statistics.median(after)
        rows += [
            Row("empty app: page up", spread(page["empty app"], "s", 2)),
            Row(
                "Paddock: page up, against the empty app", spread(page["Paddock"], "s", 2), ours / empty, AGAINST_EMPTY
            ),
            Row("Paddock: first token after the page", spread(after, "s", 2), None, AFTER_PAGE, late),
        ]
        print_rows(rows)


AGAINST_EMPTY, AFTER_PAGE = Target("<=", 1.3), Target("<=", 0.7, " s")


def _first_token_s(url: str) -> float:
    """Seconds from a request over plain HTTP to the first text of its answer."""
    body = {"messages": [{"role": "user", "content": HELLO}], "stream": True, "max_tokens": 8}
    asked = time.perf_counter()
    with httpx.stream("POST", f"{url}/v1/chat/completions", json=body, timeout=PATIENCE_S) as answer:
        for line in answer.iter_lines():
            if line.startswith("data: {") and (json.loads(line[6:])["choices"] or [{}])[0].get("delta", {}).get(
                "content"
            ):
                return time.perf_counter() - asked
    raise RuntimeError("no text came")
