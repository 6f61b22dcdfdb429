"""`elsewhere`: how other programs run a variant."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict

from ..domain.messages import Message
from ..domain.request import ChatRequest
from ..domain.settings import Settings
from ..domain.variant import Variant
from ..runtime import Runtime
from ..system.encodings import typed
from .answering import add_sampling, add_variant, read_sampling

HELP = "how llama.cpp, Ollama, vLLM or transformers run the same variant"


def add_arguments(command: argparse.ArgumentParser, settings: Settings) -> None:
    command.add_argument("message", nargs="?", type=typed, default="Hello!", help="what is asked (%(default)s)")
    add_variant(command, settings)
    command.add_argument("--system", type=typed, default="", help="system prompt")
    command.add_argument("--program", help="only this one: llama.cpp, ollama, vllm or transformers")
    command.add_argument("--json", action="store_true")
    add_sampling(command, settings)


def run(runtime: Runtime, options: argparse.Namespace) -> int:
    system = (Message("system", options.system),) if options.system else ()
    messages = (*system, Message("user", options.message))
    request = ChatRequest(Variant.parse(options.variant), messages, read_sampling(options))
    wanted = (options.program or "").lower()
    found = [one for one in runtime.elsewhere(request) if wanted in ("", one.program.lower())]
    if options.json:
        print(json.dumps(list(map(asdict, found)), indent=2, ensure_ascii=False))
        return 0
    for place, recipe in enumerate(found):
        print(f"{chr(10) if place else ''}# {recipe.program}. {recipe.note}".rstrip())
        print(recipe.text)
    if not found:
        print("No other program is known to run it.", file=sys.stderr)
    return 0 if found else 1
