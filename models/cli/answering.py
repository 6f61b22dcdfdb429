"""What the commands that answer share: their options, and one answer on stdout with its figures on stderr."""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import closing
from dataclasses import asdict

from ..domain.messages import BOUNDS, Delta, Progress, Rendered, Sampling, Thought
from ..domain.request import Request
from ..domain.results.figures import INSIDE, speed_text, thought_text
from ..domain.settings import Settings
from ..domain.thinking import BUDGET, SWITCHES, Thinking
from ..runtime import Runtime
from ..system.encodings import typed
from .terminal import ProgressLine

SPELLING = "MODEL[@QUANT[/KV]][+ADAPTER[:WEIGHT]]..."


def add_variant(command: argparse.ArgumentParser, settings: Settings) -> None:
    """Add --variant."""
    command.add_argument("-v", "--variant", default=settings.default_variant, help=f"{SPELLING} (%(default)s)")


def add_sampling(command: argparse.ArgumentParser, settings: Settings) -> None:
    """Add an option for each sampling parameter, bounded as this server bounds it."""
    limits: dict[str, float] = {"max_new_tokens": settings.max_new_tokens}
    for name, bound in BOUNDS.items():
        high = min(bound.high, limits.get(name, bound.high))
        default = min(bound.default, high)
        command.add_argument(
            f"--{name.replace('_', '-')}",
            type=int if bound.whole else float,
            default=int(default) if bound.whole else default,
            help=f"{bound.low:g} to {high:g} (%(default)s)",
        )
    command.add_argument("--seed", type=int)
    command.add_argument(
        "--stop", type=typed, action="append", default=[], help="end the answer at this text; may be repeated"
    )


def read_sampling(options: argparse.Namespace) -> Sampling:
    """The sampling that the options ask for; raises SamplingOutOfBounds."""
    return Sampling(**{name: getattr(options, name) for name in (*BOUNDS, "seed", "stop")})


def add_thinking(command: argparse.ArgumentParser, settings: Settings) -> None:
    """Add --thinking and --thinking-budget."""
    command.add_argument(
        "--thinking", default="auto", metavar="SWITCH", help=f"{', '.join(SWITCHES)}, as the chat template knows them"
    )
    high = min(BUDGET.high, settings.max_new_tokens)
    command.add_argument(
        "--thinking-budget",
        type=int,
        metavar="TOKENS",
        help=f"then the thought is closed and the answer begins, up to {high:g} (as many as the answer may have)",
    )


def read_thinking(options: argparse.Namespace) -> Thinking:
    """What the options ask for; raises SamplingOutOfBounds."""
    return Thinking(options.thinking, options.thinking_budget)


def print_answer(runtime: Runtime, request: Request, as_json: bool, with_thought: bool = False) -> str:
    """Stream one answer to stdout, its progress and figures to stderr; returns the text.

    A thought goes to stderr where it is asked for, and in JSON beside the text.
    """
    text, thought, usage, line = "", "", Delta("").usage, ProgressLine()
    with closing(runtime.answer(request)) as events:
        for event in events:
            match event:
                case Progress():
                    line.show(event)
                case Rendered():
                    line.clear()
                case Thought():
                    thought += event.text
                    if with_thought and not as_json:
                        print(event.text, end="", flush=True, file=sys.stderr)
                    elif not as_json:
                        line.show(Progress("think", event.usage.thought_tokens, detail=thought_text(event.usage)))
                case Delta():
                    if thought and not text and event.text and not as_json:
                        print(file=sys.stderr) if with_thought else line.clear()
                    text, usage = text + event.text, event.usage
                    if not as_json:
                        print(event.text, end="", flush=True)
    if as_json:
        kept = {"thought": thought} if with_thought else {}
        print(json.dumps({"text": text, **kept, "usage": asdict(usage)}))
    else:
        print()
        if usage.thinking:
            inside = f" · {INSIDE}" if usage.thinking == "open" else ""
            print(f"[thought {thought_text(usage)}{inside}]", file=sys.stderr)
        speed = speed_text(usage.decode_tokens_per_s, usage.new_tokens) or "–"
        figures = f"{usage.new_tokens} tokens · {speed} · TTFT {usage.ttft_s:.2f} s"
        print(f"[{figures} · {usage.variant} · {usage.finish}]", file=sys.stderr)
    for note in usage.notes:
        print(note, file=sys.stderr)
    return text
