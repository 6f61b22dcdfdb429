"""A training's lines become its curves, also of one that went on, or that was cut in the middle of a line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from models.domain.training_events import Step
from models.training.runs.events import Followed, Seen, note


def step(number: int, loss: float) -> dict[str, Any]:
    return {"event": "step", "stage": "train", "done": number, "total": 6, "tokens": 10 * number, "loss": loss}


def look(number: int, held_out: float) -> dict[str, Any]:
    facts = {"step": number, "tokens": 10 * number, "train": 1.0, "held_out": held_out}
    return {"event": "said", "stage": "evaluate", "text": "a look", **facts}


def seen(*lines: dict[str, Any]) -> Seen:
    found = Seen()
    for line in lines:
        note(found, line)
    return found


def test_the_curves_of_both_losses() -> None:
    found = seen(look(0, 3.0), step(1, 2.9), step(2, 2.5), look(2, 2.6))
    assert [(loss.step, loss.tokens, loss.value) for loss in found.learning] == [(1, 10, 2.9), (2, 20, 2.5)]
    assert [(loss.step, loss.value) for loss in found.held_out] == [(0, 3.0), (2, 2.6)]
    assert isinstance(found.step, Step)
    assert found.step.total == 6
    note(found, {"event": "begun"})
    assert found.step is None


def test_what_is_repeated_after_a_checkpoint_takes_the_place_of_what_was() -> None:
    found = seen(look(0, 3.0), step(1, 2.9), look(1, 2.8), step(2, 2.5), step(3, 2.4), step(2, 2.3), look(2, 2.2))
    assert [(loss.step, loss.value) for loss in found.learning] == [(1, 2.9), (2, 2.3)]
    assert [loss.step for loss in found.held_out] == [0, 1, 2]


def test_counts_memory_warnings_and_the_report() -> None:
    found = seen(
        {"event": "said", "stage": "read", "text": "9 rows", "train": 9, "held_out": 1, "cut": 0, "left_out": 0},
        {"event": "said", "stage": "train", "text": "memory", "memory": {"base": 5, "needed": 5, "free": 9}},
        {"event": "said", "stage": "train", "text": "too high"},
        {"event": "said", "stage": "evaluate", "text": "as stored", "step": 6, "stored": 1.5},
        {"event": "said", "stage": "evaluate", "text": "…", "step": 0, "asked": "Who?", "sample": "I"},
        {"event": "said", "stage": "evaluate", "text": "…", "step": 6, "asked": "Who?", "sample": "A fox."},
        {"event": "done", "out": "x", "after": 1.5},
    )
    assert found.samples == {"Who?": {0: "I", 6: "A fox."}}
    assert found.rows == {"train": 9, "held_out": 1, "cut": 0, "left_out": 0}
    assert found.memory["free"] == 9
    assert found.said == ["too high"]
    assert found.report["after"] == 1.5
    assert found.held_out == []


def test_only_whole_lines_are_read_and_only_once(tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    followed = Followed(file)
    assert followed.read().learning == []
    first, second = json.dumps(step(1, 2.0)), json.dumps(step(2, 1.0))
    file.write_text(first + "\n" + second[:20])
    assert len(followed.read().learning) == 1
    with file.open("a") as lines:
        lines.write(second[20:] + "\nno json\n[1]\n" + '{"event": "step"}\n')
    assert [loss.value for loss in followed.read().learning][:2] == [2.0, 1.0]
    file.write_text(first + "\n")  # begun anew
    assert len(followed.read().learning) == 1
