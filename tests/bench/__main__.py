"""Ratios that Paddock promises, measured on this machine with real models: python -m tests.bench [NAME...].

Run by hand on a quiet machine; not a test. Every ratio comes from one run, its two sides in turns.
"""

from __future__ import annotations

import argparse

from .adapters import adapters
from .context import LENGTHS as CONTEXTS
from .context import context
from .conversation import turns, visitors
from .convert import conversion
from .cpu import LENGTHS, cpu
from .efficiency import efficiency
from .memory import memory
from .openai import openai
from .processes import Stage
from .report import print_machine
from .shards import sharded_loads
from .speed import fp32, gguf
from .start import start
from .training import training

NAMES = (
    "gguf",
    "fp32",
    "start",
    "cpu",
    "turns",
    "visitors",
    "memory",
    "adapters",
    "context",
    "efficiency",
    "openai",
    "convert",
    "shards",
    "training",
)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which of {', '.join(NAMES)}; all when left out")
    parser.add_argument("--tiny", action="store_true", help="only to see that it works: the figures mean nothing")
    options = parser.parse_args()
    names = options.names or NAMES
    if unknown := [name for name in names if name not in NAMES]:
        parser.error(f"unknown: {', '.join(unknown)}")
    new_tokens, repeats = (24, 1) if options.tiny else (256, 5)
    few = min(repeats, 3)
    print_machine()
    with Stage(new_tokens) as stage:
        sections = {
            "gguf": lambda: gguf(stage, new_tokens, repeats),
            "fp32": lambda: fp32(stage, new_tokens, few),
            "start": lambda: start(stage, few),
            "cpu": lambda: cpu(stage, few, (8, 16, 32) if options.tiny else LENGTHS),
            "turns": lambda: turns(stage, few, 20) if options.tiny else turns(stage, few),
            "visitors": lambda: visitors(stage, few, 8) if options.tiny else visitors(stage, few),
            "memory": lambda: memory(options.tiny),
            "adapters": lambda: adapters(min(new_tokens, 96), few),
            "context": lambda: context(min(new_tokens, 32), repeats, (8, 16) if options.tiny else CONTEXTS),
            "efficiency": lambda: efficiency(min(new_tokens, 64), few),
            "openai": lambda: openai(stage, new_tokens, repeats, 48 if options.tiny else 2000),
            "convert": lambda: conversion(options.tiny),
            "shards": lambda: sharded_loads(options.tiny),
            "training": lambda: training(stage, min(new_tokens, 128), few),
        }
        for name in NAMES:
            if name in names:
                sections[name]()


if __name__ == "__main__":
    main()
