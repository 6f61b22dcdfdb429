"""From the start of a process to its page, and to the first token of the first visitor; weights are cached."""

from __future__ import annotations

import statistics
import time

from .client import ask, connect
from .processes import HERE, Stage, served
from .report import Row, Target, print_rows, quiet_watch, spread

HELLO = "Tell me something about foxes."


def start(stage: Stage, repeats: int) -> None:
    """Cold processes, Paddock's and the ten-line app's in turns; the visitor sends as soon as the page is up."""
    print("### start: cold process, warm weights\n")
    commands = {"Paddock": ("app.py",), "ten-line app": (str(HERE / "ten_line_app.py"), stage.snapshot, "32")}
    page: dict[str, list[float]] = {name: [] for name in commands}
    token: dict[str, list[float]] = {name: [] for name in commands}
    with quiet_watch():
        for _ in range(repeats):
            for name, command in commands.items():
                with served(*command) as app:
                    client = connect(app.url)
                    asked = time.perf_counter()
                    answer = ask(client, HELLO, **({"max_new_tokens": 32} if name == "Paddock" else {}))
                page[name].append(app.page_s)
                token[name].append(asked + answer.ttft_s - app.started)
        rows = []
        for what, seconds, limit in (("page up", page, 5), ("first token", token, 8)):
            ours, usual = (statistics.median(seconds[name]) for name in commands)
            rows += [
                Row(f"ten-line app: {what}", spread(seconds["ten-line app"], "s", 2)),
                Row(
                    f"Paddock: {what}", spread(seconds["Paddock"], "s", 2), ours / usual, Target("<", limit, " s"), ours
                ),
            ]
        print_rows(rows)
