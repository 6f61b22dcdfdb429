"""`fetch-meta`: a Llama by the link of Meta's mail."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..domain.errors import MetaLinkUnusable
from ..domain.settings import Settings
from ..runtime import Runtime
from ..workshop.meta_fetch import fetch_meta
from ..workshop.meta_link import Link
from ..workshop.meta_models import META_MODELS, meta_model
from .terminal import ProgressLine, read_file

HELP = "download a Llama by the signed link of Meta's mail"
MOST = 16  # requests at once


def add_arguments(command: argparse.ArgumentParser, settings: Settings) -> None:
    command.add_argument("model", help=f"one of {', '.join(META_MODELS)}")
    command.add_argument(
        "--url-file",
        required=True,
        metavar="FILE",
        help="that holds the link, or - for standard input; it is a secret, and other users see a command's arguments",
    )
    command.add_argument("--out", type=Path, metavar="DIR", help="(a folder called like the model)")
    command.add_argument(
        "--parallel", type=int, default=4, choices=range(1, MOST + 1), metavar="N", help=f"1 to {MOST} (%(default)s)"
    )


def run(runtime: Runtime, options: argparse.Namespace) -> int:
    model = meta_model(options.model)
    if "://" in options.url_file:
        raise MetaLinkUnusable(reason="it was given as an argument, where others can read it")
    try:
        link = Link(read_file(options.url_file))
    except OSError:
        raise MetaLinkUnusable(reason="the file that should hold it cannot be read") from None
    folder, line = options.out or Path(model.key), ProgressLine()
    fetch_meta(model, link, folder.expanduser(), options.parallel, line.show)
    line.clear()
    print(folder)
    return 0
