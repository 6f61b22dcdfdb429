"""The command line: python -m models chat|complete|models. Answers go to stdout, everything else to stderr."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict

from .runtime import Runtime
from .spec.errors import PaddockError
from .spec.messages import BOUNDS, Delta, Message, Progress, Rendered, Sampling
from .spec.request import ChatRequest, CompletionRequest, Request
from .spec.settings import Settings
from .spec.variant import Variant
from .terminal import ProgressLine


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 0 when it worked, 1 with one line on stderr when it did not, 130 when interrupted."""
    try:
        settings = Settings.from_env()
    except ValueError as error:  # the operator's own variables
        print(f"paddock: {error}", file=sys.stderr)
        return 1
    options = _parser(settings).parse_args(arguments)
    try:
        status = int(options.run(Runtime(settings), options))
        sys.stdout.flush()
        return status
    except PaddockError as error:
        print(f"paddock: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader of our output left, as `| head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _parser(settings: Settings) -> argparse.ArgumentParser:
    limits: dict[str, float] = {"max_new_tokens": settings.max_new_tokens}
    parser = argparse.ArgumentParser(prog="python -m models", description="Open language models from the command line.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    chat = commands.add_parser("chat", help="answer one message, or talk when none is given")
    chat.add_argument("message", nargs="?", help="left out: a conversation, one line a turn, ended by Ctrl-D")
    chat.add_argument("--system", default="", help="system prompt")
    chat.set_defaults(run=_chat)
    complete = commands.add_parser("complete", help="continue a text; - reads it from stdin")
    complete.add_argument("prompt")
    complete.set_defaults(run=_complete)
    for command in (chat, complete):
        command.add_argument("-v", "--variant", default=settings.default_variant, help="MODEL[@QUANT] (%(default)s)")
        command.add_argument("--json", action="store_true", help="print one JSON object: text and usage")
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
        command.add_argument("--stop", action="append", default=[], help="end the answer at this text; may be repeated")
    models = commands.add_parser("models", help="what can be picked here")
    models.add_argument("--json", action="store_true")
    models.set_defaults(run=_models)
    return parser


def _sampling(options: argparse.Namespace) -> Sampling:
    values = {name: getattr(options, name) for name in BOUNDS}
    return Sampling(**values, seed=options.seed, stop=options.stop)


def _chat(runtime: Runtime, options: argparse.Namespace) -> int:
    variant, sampling = Variant.parse(options.variant), _sampling(options)
    opening = (Message("system", options.system),) if options.system.strip() else ()
    if options.message is not None:
        _answer(runtime, ChatRequest(variant, (*opening, Message("user", options.message)), sampling), options.json)
        return 0
    conversation: tuple[Message, ...] = opening
    while True:
        try:
            line = input("> " if sys.stdin.isatty() else "")
        except EOFError:
            return 0
        conversation = (*conversation, Message("user", line))
        text = _answer(runtime, ChatRequest(variant, conversation, sampling), options.json)
        conversation = (*conversation, Message("assistant", text))


def _complete(runtime: Runtime, options: argparse.Namespace) -> int:
    prompt = sys.stdin.read() if options.prompt == "-" else options.prompt
    _answer(runtime, CompletionRequest(Variant.parse(options.variant), prompt, _sampling(options)), options.json)
    return 0


def _models(runtime: Runtime, options: argparse.Namespace) -> int:
    rows = runtime.models()
    if options.json:
        print(json.dumps(rows, indent=2))
        return 0
    for row in rows:
        marks = [word for word, true in (("gated", row["gated"]), ("here", row["on_this_machine"])) if true]
        print(
            f"{row['key']:28} {row['kind']:9} {row['parameters'] / 1e6:>9,.0f}M  {row['licence']:32} {' '.join(marks)}"
        )
    return 0


def _answer(runtime: Runtime, request: Request, as_json: bool) -> str:
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
    return text


if __name__ == "__main__":
    raise SystemExit(main())
