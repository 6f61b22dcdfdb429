"""`chat`: one answer, or a conversation."""

from __future__ import annotations

import argparse

from ..domain.messages import Message
from ..domain.request import ChatRequest
from ..domain.settings import Settings
from ..domain.variant import Variant
from ..runtime import Runtime
from ..system.encodings import typed
from .answering import add_sampling, add_thinking, add_variant, print_answer, read_sampling, read_thinking
from .terminal import lines

HELP = "answer one message, or talk when none is given"


def add_arguments(command: argparse.ArgumentParser, settings: Settings) -> None:
    command.add_argument(
        "message", type=typed, nargs="?", help="left out: a conversation, one line a turn, ended by Ctrl-D"
    )
    command.add_argument("--system", type=typed, default="", help="system prompt")
    add_variant(command, settings)
    command.add_argument("--json", action="store_true", help="print one JSON object: text and usage")
    add_sampling(command, settings)
    add_thinking(command, settings)
    command.add_argument("--thoughts", action="store_true", help="show what the model thinks before it answers")


def run(runtime: Runtime, options: argparse.Namespace) -> int:
    variant, sampling, thinking = Variant.parse(options.variant), read_sampling(options), read_thinking(options)
    conversation = (Message("system", options.system),) if options.system.strip() else ()
    for line in [options.message] if options.message is not None else lines("> "):
        conversation = (*conversation, Message("user", line))
        request = ChatRequest(variant, conversation, sampling, thinking=thinking)
        text = print_answer(runtime, request, options.json, options.thoughts)
        conversation = (*conversation, Message("assistant", text))
    return 0
