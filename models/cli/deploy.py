"""`deploy`: this copy of the app as a Hugging Face Space."""

from __future__ import annotations

import argparse
import os
import sys

from ..domain.errors import BadSpace
from ..domain.settings import Settings
from ..domain.units import size
from ..runtime import Runtime
from ..space.files import files
from ..space.hub import Secrets, Wanted, check, deploy
from ..system.processes import SECRETS

HOSTED = {"SPACE_ID": "owner/name", "OAUTH_CLIENT_ID": "id"}  # as the Hub sets them, by the head of the README
HELP = "make a Hugging Face Space of this app, or bring it up to date"


def add_arguments(command: argparse.ArgumentParser, settings: Settings) -> None:
    command.add_argument("space", metavar="OWNER/NAME")
    command.add_argument(
        "--hardware", help="zero-a10g, cpu-basic, t4-small, ...; left out: as it is, a new one cpu-basic"
    )
    command.add_argument("--private", action="store_true", default=None, help="for its owner alone")
    command.add_argument(
        "--variable", action="append", default=[], metavar="NAME=VALUE", help="of its environment, for all to read"
    )
    command.add_argument(
        "--secret", action="append", default=[], metavar="NAME", help="with the value that NAME has here"
    )
    command.add_argument("--dry-run", action="store_true", help="only list what would be uploaded and set")
    command.add_argument("--check", action="store_true", help="wait until it runs, and ask it for its models")


def run(runtime: Runtime, options: argparse.Namespace) -> int:
    wanted = _wanted(options)
    if options.dry_run:
        sizes = files()
        for name, bytes_ in sizes.items():
            print(f"{bytes_:>12,}  {name}")
        print(f"{sum(sizes.values()):>12,}  bytes in {len(sizes)} files ({size(sum(sizes.values()))})")
        for what, value in (
            ("Space", wanted.name),
            ("hardware", wanted.hardware or "as it is"),
            ("private", "yes" if wanted.private else "as it is"),
            ("variables", ", ".join(f"{key}={value}" for key, value in wanted.variables.items()) or "none"),
            ("secrets", ", ".join(wanted.secrets) or "none"),
        ):
            print(f"{what + ':':12}{value}")
        return 0
    commit = deploy(wanted, _say)
    print(f"https://huggingface.co/spaces/{wanted.name}")
    if options.check:
        print(f"It runs and lists {check(wanted.name, commit, _say)} models.")
    return 0


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _wanted(options: argparse.Namespace) -> Wanted:
    """The Space that the arguments ask for; raises BadSpace before anybody is asked."""
    owner, _, name = options.space.partition("/")
    if not owner or not name or "/" in name:
        raise BadSpace(reason=f"“{options.space}” is not OWNER/NAME")
    variables = {}
    for given in options.variable:
        key, equals, value = given.partition("=")
        if not equals or not key.isidentifier():
            raise BadSpace(reason=f"“{given}” is not NAME=VALUE")
        if key in SECRETS:
            raise BadSpace(reason=f"{key} is a secret: give it with --secret")
        variables[key] = value
    if lacking := [key for key in options.secret if not os.environ.get(key)]:
        raise BadSpace(reason=f"{lacking[0]} is not set in this environment")
    secrets = Secrets({key: os.environ[key] for key in options.secret})
    try:
        Settings.from_env(HOSTED | variables | secrets)
    except ValueError as error:
        words = str(error)
        if hidden := next((key for key in secrets if f"{key}=" in words), ""):
            words = f"{hidden} has a value that it cannot have"
        raise BadSpace(reason=words) from None
    return Wanted(options.space, options.hardware, options.private, variables, secrets)
