"""The command line: python -m models COMMAND. Results go to stdout, everything else to stderr."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from .cli import commands
from .cli.adapters import add_adapter_commands
from .cli.compare import add_compare
from .cli.finetune import add_finetune
from .domain import proxies
from .domain.encodings import lenient_output, typed
from .domain.errors import HubUnreachable, PaddockError
from .domain.messages import BOUNDS
from .domain.settings import Settings
from .runtime import Runtime
from .studies.measure import NEW_TOKENS

SPELLING = "MODEL[@QUANT][+ADAPTER[:WEIGHT]]..."


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 0 when it worked, 1 with one line on stderr when it did not, 130 when interrupted."""
    lenient_output()
    proxies.exempt_loopback()
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
        if isinstance(error, HubUnreachable) and (found := proxies.unusable()):
            print(f"paddock: {proxies.why(found)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader of our output left, as `| head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _parser(settings: Settings) -> argparse.ArgumentParser:
    limits: dict[str, float] = {"max_new_tokens": settings.max_new_tokens}
    parser = argparse.ArgumentParser(prog="python -m models", description="Open language models from the command line.")
    group = parser.add_subparsers(required=True, metavar="COMMAND")
    chat = group.add_parser("chat", help="answer one message, or talk when none is given")
    chat.add_argument(
        "message", type=typed, nargs="?", help="left out: a conversation, one line a turn, ended by Ctrl-D"
    )
    chat.add_argument("--system", type=typed, default="", help="system prompt")
    chat.set_defaults(run=commands.chat)
    complete = group.add_parser("complete", help="continue a text; - reads it from stdin")
    complete.add_argument("prompt", type=typed)
    complete.set_defaults(run=commands.complete)
    for command in (chat, complete):
        command.add_argument(
            "-v",
            "--variant",
            default=settings.default_variant,
            help="MODEL[@QUANT][+ADAPTER[:WEIGHT]]... (%(default)s)",
        )
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
        command.add_argument(
            "--stop", type=typed, action="append", default=[], help="end the answer at this text; may be repeated"
        )
    models = group.add_parser("models", help="what can be picked here")
    models.set_defaults(run=commands.models)
    plan = group.add_parser("plan", help="what a variant would take in memory, before anything is downloaded")
    plan.add_argument("variant", help=SPELLING)
    plan.add_argument("--context", type=int, help="tokens; left out: what this server gives a conversation")
    plan.set_defaults(run=commands.plan)
    which = group.add_parser("which", help="which models of a family run on which GPU, in which mode")
    which.add_argument("family", nargs="?", default="Llama 2", help="as `models` groups them (%(default)s)")
    which.add_argument("--context", type=int, default=4096, help="tokens (%(default)s)")
    which.set_defaults(run=commands.which)
    score = group.add_parser("score", help="how likely a variant finds a text; - reads it from stdin")
    score.add_argument("text", type=typed)
    score.add_argument(
        "-v", "--variant", default=settings.default_variant, help="MODEL[@QUANT][+ADAPTER[:WEIGHT]]... (%(default)s)"
    )
    score.set_defaults(run=commands.score)
    measure = group.add_parser("measure", help="memory, speed and quality of the modes of a model")
    measure.add_argument("model")
    measure.add_argument("--modes", default="", help="separated by commas; left out: all that run here")
    measure.add_argument("--reference", default="", help="the mode that the others are held against")
    measure.add_argument("--text", default="", metavar="FILE", help="to be scored instead of our own; - is stdin")
    measure.add_argument(
        "--new-tokens",
        type=int,
        default=min(NEW_TOKENS, settings.max_new_tokens),
        help="of the answer that is timed (%(default)s)",
    )
    form = measure.add_mutually_exclusive_group()
    form.add_argument("--csv", action="store_true", help="whole figures for programs instead of a Markdown table")
    form.add_argument("--json", action="store_true")
    measure.set_defaults(run=commands.measure)
    add_compare(group, settings)
    add_adapter_commands(group)
    add_finetune(group)
    for command in (models, plan, which, score):
        command.add_argument("--json", action="store_true")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
