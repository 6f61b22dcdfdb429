"""`cache`: what of models lies on this machine's disk."""

from __future__ import annotations

import argparse
import json
import sys
import time

from ..domain.settings import Settings
from ..domain.units import size
from ..runtime import Runtime
from ..weights import kept as kept_files

HELP = "what of models lies on the disk, and removes it by name"
DAY_S = 86400.0


def add_arguments(command: argparse.ArgumentParser, settings: Settings) -> None:
    command.add_argument("--remove", action="append", default=[], metavar="NAME", help="as it is listed")
    command.add_argument("--yes", action="store_true", help="without asking")
    command.add_argument("--json", action="store_true")


def run(runtime: Runtime, options: argparse.Namespace) -> int:
    settings = runtime.settings
    if options.remove:
        return _remove(settings, options.remove, options.yes)
    found, free = kept_files.kept(settings), kept_files.free_disk(settings)
    if options.json:
        rows = [
            {"name": each.name, "kind": each.kind, "path": str(each.path), "bytes": each.bytes}
            | {"used": each.used, "in_use": each.in_use}
            for each in found
        ]
        print(json.dumps({"kept": rows, "free": free, "budget": int(settings.disk_gb * 1e9)}, indent=2))
        return 0
    for each in found:
        state = "in use" if each.in_use else ago(each.used)
        print(f"{size(each.bytes):>10}  {state:>12}  {each.name}")
    total = sum(each.bytes for each in found)
    budget = f", PADDOCK_DISK_GB allows {size(int(settings.disk_gb * 1e9))} without the Hub cache"
    print(f"{size(total):>10}  in all; {size(free)} are free{budget if settings.disk_gb else ''}")
    return 0


def ago(used: float) -> str:
    """How long ago something was used."""
    days = int((time.time() - used) / DAY_S)
    return "unknown" if not used else "today" if days < 1 else "yesterday" if days == 1 else f"{days:,} days ago"


def _remove(settings: Settings, names: list[str], sure: bool) -> int:
    there = {each.name: each for each in kept_files.kept(settings)}
    for name in names:
        if name in there and not sure:
            if not sys.stdin.isatty():
                print("Nothing was removed: say --yes where nobody can be asked.", file=sys.stderr)
                return 1
            answer = input(f"Remove {name}, {size(there[name].bytes)}? [y/N] ")
            if answer.strip().lower() not in ("y", "yes"):
                print("Nothing was removed.")
                continue
        gone = kept_files.remove(settings, name)
        print(f"{name} is removed: {size(gone.bytes)}")
    return 0
