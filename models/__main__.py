"""The command line: python -m models COMMAND. Results go to stdout, everything else to stderr."""

from __future__ import annotations

import argparse
import importlib
import os
import pkgutil
import sys
from collections.abc import Sequence
from dataclasses import replace

from . import cli
from .cli.folders import with_folders
from .cli.processes import leave, run_in_processes
from .domain.catalog import load_catalog
from .domain.errors import HubUnreachable, PaddockError
from .domain.settings import EVERY, Settings
from .runtime import Runtime
from .system import proxies
from .system.encodings import lenient_output
from .system.launching import end_with_parent
from .system.ranks import take_place

SHARED = (
    "answering",
    "folders",
    "processes",
    "terminal",
    "training_lines",
)  # by commands; every other file of cli/ is one
COMMANDS = [module.name for module in pkgutil.iter_modules(cli.__path__) if module.name not in SHARED]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 0 when it worked, 1 with one line on stderr when it did not, 130 when interrupted."""
    lenient_output()
    proxies.exempt_loopback()
    end_with_parent()
    try:
        place = take_place()
        # Who runs a command is the operator: their own token reads what it may.
        settings = replace(Settings.from_env(), gated_models=(EVERY,))
    except (ValueError, PaddockError) as error:  # the operator's own variables
        print(f"paddock: {error}", file=sys.stderr)
        return 1
    options = _parser(settings).parse_args(arguments)
    try:
        settings = with_folders(settings, options, load_catalog())
        status = run_in_processes(options.run, Runtime(replace(settings, processes=1)), options, place, arguments)
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
    parser = argparse.ArgumentParser(prog="python -m models", description="Open language models from the command line.")
    group = parser.add_subparsers(required=True, metavar="COMMAND")
    for name in COMMANDS:
        module = importlib.import_module(f"{cli.__name__}.{name}")
        command = group.add_parser(name.replace("_", "-"), help=module.HELP)
        module.add_arguments(command, settings)
        command.set_defaults(run=module.run)
    return parser


if __name__ == "__main__":
    leave(main())
