"""`plan`: what a variant would take in memory."""

from __future__ import annotations

import argparse
import json

from ..domain.memory.hardware import find_hardware
from ..domain.settings import Settings
from ..domain.units import size
from ..domain.variant import Variant
from ..runtime import Runtime
from .answering import SPELLING

HELP = "what a variant would take in memory, before anything is downloaded"


def add_arguments(command: argparse.ArgumentParser, settings: Settings) -> None:
    command.add_argument("variant", help=SPELLING)
    command.add_argument("--context", type=int, help="tokens; left out: what this server gives a conversation")
    command.add_argument("--on", metavar="HARDWARE", help="another machine: rtx-3060-12gb, m4-pro-48gb, ..., or its GB")
    command.add_argument("--json", action="store_true")


def run(runtime: Runtime, options: argparse.Namespace) -> int:
    variant = Variant.parse(options.variant)
    hardware = find_hardware(options.on) if options.on else None
    planned = runtime.plan(variant, options.context, hardware=hardware)
    near = [] if planned.fits else runtime.nearest(variant, options.context, hardware=hardware)
    if options.json:
        print(json.dumps(planned.to_dict() | {"nearest": [found.to_dict() for found in near]}, indent=2))
        return 0
    print(f"{planned.variant}, context of {planned.context:,} tokens, conversations at once: {planned.batch}")
    if not planned.is_local:
        print(f"It takes no memory here: {planned.budget.device} computes it.")
        return 0
    active = planned.active_parameters
    beside = f", of which a token uses {active:,}" if active < planned.parameters else ""
    print(f"{planned.parameters:,} parameters{beside}")
    for part in planned.parts:
        print(f"  {part.label:24} {size(part.bytes):>9}")
    verdict = "fits" if planned.fits else "does not fit"
    print(f"  {'total':24} {size(planned.total):>9}")
    print(f"  {'must be free':24} {size(planned.needed):>9}")
    print(f"{size(planned.budget.free)} of {planned.budget.device} is available: {verdict}")
    about = runtime.describe(runtime.card(variant), hardware=hardware)
    speed = about.plans[planned.mode].speed
    if not hardware:
        print(f"{size(about.free_disk)} of disk are free")
    print(f"Longest context that fits: {runtime.longest_context(variant, hardware):,} tokens")
    if speed is not None:
        print(f"Estimated speed: {speed.low:.3g} to {speed.high:.3g} tokens/s")
    for warning in (*planned.notes, *planned.warnings):
        print(f"Note: {warning}")
    if near:
        print("What fits: " + ", ".join(f"{found.variant} ({size(found.needed)})" for found in near))
    return 0
