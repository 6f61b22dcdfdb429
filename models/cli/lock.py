"""`lock`: a link that fixes what is asked, signed for the pages that embed it."""

from __future__ import annotations

import argparse
from urllib.parse import urlsplit

from ..domain.errors import BadLock
from ..domain.locks import KINDS, locked, parse_query
from ..domain.settings import Settings
from ..domain.variant import Variant
from ..runtime import Runtime

HELP = "sign a link, so that a page that embeds it asks for nothing else"


def add_arguments(command: argparse.ArgumentParser, settings: Settings) -> None:
    command.add_argument("link", help="as “Copy link” writes it")
    command.add_argument("--embed", choices=KINDS, help="what the frame shows (as the link says, or a chat)")


def run(runtime: Runtime, options: argparse.Namespace) -> int:
    if not runtime.settings.link_key:
        raise BadLock(reason="PADDOCK_LINK_KEY is not set, with which it would be signed")
    query = parse_query(urlsplit(options.link).query)
    for spelling in filter(None, [query.get("variant"), *query.get("variants", "").split(",")]):
        runtime.card(Variant.parse(spelling))
    print(locked(runtime.settings.link_key, options.link, options.embed or ""))
    return 0
