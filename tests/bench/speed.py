"""Decode speed as a client sees it, against the same library alone and against the usual ten-line app."""

from __future__ import annotations

import statistics
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gradio_client import Client

from models.engines.template import render

from .client import Answer, ask, greedy
from .processes import GEMMA, SMOLLM2, Stage
from .report import Row, Target, idle_cores, print_rows, quiet_watch, spread

STORY = "Write a very long story about a fox who learns to read. Describe every place and everybody she meets."
OPENING = "The history of the steam engine begins long before the first railway."


@dataclass(frozen=True)
class Way:
    """One way to the same tokens, and the process that computes them."""

    process: subprocess.Popen[Any]
    ask: Callable[[int], Answer]


def interleaved(stage: Stage, ways: Mapping[str, Way], new_tokens: int, repeats: int) -> dict[str, list[Answer]]:
    """A B A B ...: each way once for warming up, then in turns, the other processes loaded but held still."""
    answers: dict[str, list[Answer]] = {name: [] for name in ways}
    idle = []
    for turn in range(repeats + 1):
        for name, way in ways.items():
            with stage.only(way.process):
                if turn:
                    answers[name].append(way.ask(new_tokens))
                else:
                    way.ask(min(16, new_tokens))
                    idle.append(f"{name} {idle_cores(way.process.pid):.2f}")
    print(f"Cores that each process takes while it idles, loaded: {', '.join(idle)}\n")
    for name, each in answers.items():
        if short := [answer.tokens for answer in each if answer.tokens != new_tokens]:
            print(f"Note: {name} ended after {short} tokens instead of {new_tokens}\n")
    return answers


def median_speed(answers: list[Answer]) -> float:
    return statistics.median(answer.tokens_per_s for answer in answers)


def _row(name: str, answers: list[Answer], other: list[Answer] | None = None, target: Target | None = None) -> Row:
    ratio = median_speed(answers) / median_speed(other) if other else None
    return Row(name, spread([answer.tokens_per_s for answer in answers], "tok/s"), ratio, target)


def _same(one: list[Answer], other: list[Answer]) -> str:
    return "same text" if one[0].text.strip() == other[0].text.strip() else "texts differ"


def _first_turn(client: Client, tokens: int) -> Answer:
    client.reset_session()  # a ChatInterface remembers the conversation of its visitor
    return ask(client, STORY, tokens=tokens)


def rendered(stage: Stage, text: str) -> str:
    """The prompt that SmolLM2's own template makes of one message."""
    template = Path(stage.snapshot, "chat_template.jinja").read_text(encoding="utf-8")
    special = {"bos_token": "<|im_start|>", "eos_token": "<|im_end|>"}
    return render(template, [{"role": "user", "content": text}], special)


def gguf(stage: Stage, new_tokens: int, repeats: int) -> None:
    """llama.cpp through the served app's API against llama.cpp in a bare script."""
    print(f"### gguf: decode, {new_tokens} new tokens, greedy\n")
    story, client, app = rendered(stage, STORY), stage.client, stage.app.process
    cases = {
        SMOLLM2: (story, lambda count: greedy(client, STORY, f"{SMOLLM2}@gguf", count)),
        GEMMA: (OPENING, lambda count: greedy(client, OPENING, f"{GEMMA}@gguf", count, complete=True)),
    }
    rows = []
    with quiet_watch():
        for model, (prompt, paddock) in cases.items():
            bare = stage.bare("gguf", model)
            ways = {
                "paddock": Way(app, paddock),
                "bare": Way(bare.process, lambda count, bare=bare, prompt=prompt: bare.ask(prompt, count)),
            }
            answers = interleaved(stage, ways, new_tokens, repeats)
            same = _same(answers["paddock"], answers["bare"])
            rows += [
                _row(f"{model}: bare llama.cpp", answers["bare"]),
                _row(f"{model}: API client, {same}", answers["paddock"], answers["bare"], Target(">=", 0.90)),
            ]
        print_rows(rows)


def fp32(stage: Stage, new_tokens: int, repeats: int) -> None:
    """transformers through the served app's API against generate() in a bare script and the ten-line app."""
    print(f"### fp32: decode, {new_tokens} new tokens, greedy, {SMOLLM2}\n")
    bare, ten_line, prompt = stage.bare("transformers", SMOLLM2), stage.ten_line_client, rendered(stage, STORY)
    client, app = stage.client, stage.app.process
    ways = {
        "paddock": Way(app, lambda count: greedy(client, STORY, f"{SMOLLM2}@fp32", count)),
        "bare": Way(bare.process, lambda count: bare.ask(prompt, count)),
        "ten-line app": Way(stage.ten_line_app.process, lambda _: _first_turn(ten_line, stage.new_tokens)),
        "paddock gguf": Way(app, lambda count: greedy(client, STORY, f"{SMOLLM2}@gguf", count)),
    }
    with quiet_watch():
        answers = interleaved(stage, ways, new_tokens, repeats)
        ours, bare_answers, usual = answers["paddock"], answers["bare"], answers["ten-line app"]
        print(f"Paddock and generate(): {_same(ours, bare_answers)}; and the ten-line app: {_same(ours, usual)}\n")
        default = answers["paddock gguf"]
        print_rows(
            [
                _row("bare model.generate", bare_answers),
                _row("ten-line app, API client", usual),
                _row("Paddock fp32, API client, to bare", ours, bare_answers, Target(">=", 0.95)),
                _row("Paddock fp32 to ten-line app", ours, usual, Target(">=", 1.15)),
                _row("Paddock's default (gguf) to ten-line app", default, usual, Target(">=", 4)),
            ]
        )
