"""`complete`: the continuation of a text."""

from __future__ import annotations

import argparse

from ..domain.request import CompletionRequest
from ..domain.settings import Settings
from ..domain.variant import Variant
from ..runtime import Runtime
from ..system.encodings import typed
from .answering import add_sampling, add_variant, print_answer, read_sampling
from .processes import add_processes, split_runtime
from .terminal import read_text

HELP = "continue a text; - reads it from stdin"


def add_arguments(command: argparse.ArgumentParser, settings: Settings) -> None:
    command.add_argument("prompt", type=typed)
    add_variant(command, settings)
    command.add_argument("--json", action="store_true", help="print one JSON object: text and usage")
    add_sampling(command, settings)
    add_processes(command, settings)


def run(runtime: Runtime, options: argparse.Namespace) -> int:
    variant = Variant.parse(options.variant)
    if options.place:
        runtime = split_runtime(runtime, variant, options.place)
    request = CompletionRequest(variant, read_text(options.prompt), read_sampling(options))
    print_answer(runtime, request, options.json)
    return 0
