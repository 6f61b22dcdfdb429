"""`score`: how likely a variant finds a text."""

from __future__ import annotations

import argparse
import json
from contextlib import closing

from ..domain.engine import Prompt
from ..domain.messages import Progress, Scored
from ..domain.results import metrics
from ..domain.settings import Settings
from ..domain.variant import Variant
from ..runtime import Runtime
from ..system.encodings import typed
from .answering import add_variant
from .terminal import ProgressLine, read_text

HELP = "how likely a variant finds a text; - reads it from stdin"


def add_arguments(command: argparse.ArgumentParser, settings: Settings) -> None:
    command.add_argument("text", type=typed)
    add_variant(command, settings)
    command.add_argument("--json", action="store_true")


def run(runtime: Runtime, options: argparse.Namespace) -> int:
    text = read_text(options.text)
    line = ProgressLine()
    with closing(runtime.score(Prompt(text), Variant.parse(options.variant))) as events:
        for event in events:
            if isinstance(event, Progress):
                line.show(event)
            if isinstance(event, Scored):
                line.clear()
                found = metrics.summary(event)
                figures = f"perplexity {found['perplexity']:.3f} · {found['bits_per_byte']:.3f} bits per byte"
                sentence = f"{figures} · {len(found['tokens'])} tokens · {found['variant']}"
                print(json.dumps(found) if options.json else sentence)
    return 0
