"""`push`: weights or an adapter as a repository of the Hub."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ..domain.settings import Settings
from ..domain.units import size
from ..domain.variant import Variant
from ..runtime import Runtime
from ..workshop.push import Publication, Wanted, allowed, publication, push, push_variant
from .terminal import ProgressLine

HELP = "publish a variant, a folder of weights, an adapter or a GGUF file on the Hub"


def add_arguments(command: argparse.ArgumentParser, settings: Settings) -> None:
    command.add_argument("what", metavar="VARIANT|DIR|FILE", help="a variant is written first, its adapters merged")
    command.add_argument("repo", metavar="OWNER/NAME")
    command.add_argument("--private", action="store_true", help="for its owner alone")
    command.add_argument("--dry-run", action="store_true", help="only show the card and what would be sent")
    command.add_argument("--base", default="", metavar="OWNER/NAME", help="of what it is made, if that is not noted")
    command.add_argument("--licence", default="", help="of the base, where neither catalog nor Hub knows it")
    command.add_argument("--licence-file", type=Path, metavar="FILE", help="its text, where that has to go along")


def run(runtime: Runtime, options: argparse.Namespace) -> int:
    wanted = Wanted(options.repo, options.private, options.base, options.licence, options.licence_file)
    path, line = Path(options.what).expanduser().absolute(), ProgressLine()
    if path.exists():
        what = publication(runtime, path, wanted)
        _show(what, options.dry_run)
        if not options.dry_run:
            push(runtime, what, wanted.private, line.show)
    else:
        variant = Variant.parse(options.what)
        if options.dry_run:
            allowed(runtime, variant, wanted)
            print(f"{variant} may be published as {wanted.repo}; its files are known once they are written")
        else:
            push_variant(runtime, variant, wanted, line.show, lambda what: _show(what, False))
    line.clear()
    if not options.dry_run:
        print(f"https://huggingface.co/{wanted.repo}")
    return 0


def _show(what: Publication, whole: bool) -> None:
    """Standard output is for what was asked: the card and the list of a dry run, else the address alone."""
    out = sys.stdout if whole else sys.stderr
    if whole:
        print(what.card, file=out)
    for name, count in what.sizes.items():
        print(f"{count:>14,}  {name}", file=out)
    total = sum(what.sizes.values())
    print(f"{total:>14,}  bytes in {len(what.sizes)} files ({size(total)})", file=out)
    for name in what.left_out:
        print(f"{'left out':>14}  {name}", file=out)
