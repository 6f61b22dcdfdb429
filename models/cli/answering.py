"""What the commands that answer share: their options, and one answer on stdout with its figures on stderr."""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import closing
from dataclasses import asdict

from ..domain.messages import BOUNDS, Delta, Progress, Rendered, Sampling
from ..domain.request import Request
from ..domain.settings import Settings
from ..runtime import Runtime
from ..system.encodings import typed
from .terminal import ProgressLine

SPELLING = "MODEL[@QUANT][+ADAPTER[:WEIGHT]]..."


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


def print_answer(runtime: Runtime, request: Request, as_json: bool) -> str:
    """Stream one answer to stdout, its progress and figures to stderr; returns the text."""
    text, usage, line = "", Delta("").usage, ProgressLine()
    with closing(runtime.answer(request)) as events:
        for event in events:
            match event:
                case Progress():
                    line.show(event)
                case Rendered():
                    line.clear()
                case Delta():
                    text, usage = text + event.text, event.usage
                    if not as_json:
                        print(event.text, end="", flush=True)
    if as_json:
        print(json.dumps({"text": text, "usage": asdict(usage)}))
    else:
        print()
        figures = f"{usage.new_tokens} tokens · {usage.decode_tokens_per_s:.1f} tok/s · TTFT {usage.ttft_s:.2f} s"
        print(f"[{figures} · {usage.variant} · {usage.finish}]", file=sys.stderr)
    for note in usage.notes:
        print(note, file=sys.stderr)
    return text
