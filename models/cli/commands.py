"""What each command of the command line does: results on stdout, progress and figures on stderr."""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import closing
from dataclasses import asdict
from typing import Any

from ..domain.errors import BadContext, BadModes, UnknownModel
from ..domain.memory import hardware
from ..domain.memory.hardware import which_fit
from ..domain.messages import BOUNDS, Delta, Message, Progress, Rendered, Sampling, Scored
from ..domain.request import ChatRequest, CompletionRequest, Request
from ..domain.results import metrics
from ..domain.results.measured import Measured, to_csv, to_markdown
from ..domain.units import size
from ..domain.variant import Variant
from ..runtime import Runtime
from .terminal import ProgressLine, lines, read_file, read_text


def _sampling(options: argparse.Namespace) -> Sampling:
    values = {name: getattr(options, name) for name in BOUNDS}
    return Sampling(**values, seed=options.seed, stop=options.stop)


def chat(runtime: Runtime, options: argparse.Namespace) -> int:
    variant, sampling = Variant.parse(options.variant), _sampling(options)
    opening = (Message("system", options.system),) if options.system.strip() else ()
    if options.message is not None:
        _answer(runtime, ChatRequest(variant, (*opening, Message("user", options.message)), sampling), options.json)
        return 0
    conversation: tuple[Message, ...] = opening
    for line in lines("> "):
        conversation = (*conversation, Message("user", line))
        text = _answer(runtime, ChatRequest(variant, conversation, sampling), options.json)
        conversation = (*conversation, Message("assistant", text))
    return 0


def complete(runtime: Runtime, options: argparse.Namespace) -> int:
    prompt = read_text(options.prompt)
    _answer(runtime, CompletionRequest(Variant.parse(options.variant), prompt, _sampling(options)), options.json)
    return 0


def models(runtime: Runtime, options: argparse.Namespace) -> int:
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


def plan(runtime: Runtime, options: argparse.Namespace) -> int:
    variant = Variant.parse(options.variant)
    planned = runtime.plan(variant, options.context)
    near = [] if planned.fits else runtime.nearest(variant, options.context)
    if options.json:
        print(json.dumps(planned.to_dict() | {"nearest": [found.to_dict() for found in near]}, indent=2))
        return 0
    print(f"{planned.variant}, context of {planned.context:,} tokens, conversations at once: {planned.batch}")
    for part in planned.parts:
        print(f"  {part.label:24} {size(part.bytes):>9}")
    verdict = "fits" if planned.fits else "does not fit"
    print(f"  {'total':24} {size(planned.total):>9}")
    print(f"  {'at most, with the load':24} {size(planned.needed):>9}")
    print(f"{size(planned.budget.free)} of {planned.budget.device} can be had: {verdict}")
    for warning in planned.warnings:
        print(f"Note: {warning}")
    if near:
        print("What fits: " + ", ".join(f"{found.variant} ({size(found.needed)})" for found in near))
    return 0


WHICH_MODES = ("fp32", "bf16", "int8", "nf4", "gptq", "awq", "gguf-q8_0", "gguf-q4_k_m")


def which(runtime: Runtime, options: argparse.Namespace) -> int:
    cards = [card for card in runtime.catalog.values() if card.family == options.family and card.kind == "instruct"]
    cards = cards or [card for card in runtime.catalog.values() if card.family == options.family]
    if not cards:
        families = ", ".join(dict.fromkeys(card.family for card in runtime.catalog.values()))
        raise UnknownModel(model=options.family, suggestion=f"The families are {families}.")
    if not 1 <= options.context <= max(card.context for card in cards):
        raise BadContext(value=options.context, limit=max(card.context for card in cards))
    fits = which_fit(cards, WHICH_MODES, context=options.context)
    rows = [asdict(fit) | {"fits": fit.fits, "gpus": fit.gpus} for fit in fits]
    print(json.dumps(rows, indent=2) if options.json else hardware.table(fits))
    return 0


def score(runtime: Runtime, options: argparse.Namespace) -> int:
    text = read_text(options.text)
    line = ProgressLine()
    with closing(runtime.score(text, Variant.parse(options.variant))) as events:
        for event in events:
            if isinstance(event, Progress):
                line.show(event)
            if isinstance(event, Scored):
                line.clear()
                found = metrics.summary(event)
                print(json.dumps(found) if options.json else _score_line(found))
    return 0


def _score_line(found: dict[str, Any]) -> str:
    figures = f"perplexity {found['perplexity']:.3f} · {found['bits_per_byte']:.3f} bits per byte"
    return f"{figures} · {len(found['tokens'])} tokens · {found['variant']}"


def measure(runtime: Runtime, options: argparse.Namespace) -> int:
    modes = [mode.strip() for mode in options.modes.split(",") if mode.strip()]
    rows, line = [], ProgressLine()
    text = _read(options.text) if options.text else ""
    with closing(runtime.measure(options.model, modes, text, options.reference, options.new_tokens)) as events:
        for event in events:
            if isinstance(event, Measured):
                rows.append(event)
            else:
                line.show(event)
    line.clear()
    if options.json:
        print(json.dumps([asdict(row) for row in rows], indent=2))
    else:
        print(to_csv(rows) if options.csv else to_markdown(rows), end="")
    for note in sorted({f"{row.variant} was {row.note}." for row in rows if row.note}):
        print(note, file=sys.stderr)
    return 0 if any(not row.error for row in rows) else 1


def _read(name: str) -> str:
    try:
        return read_file(name)
    except OSError as error:
        raise BadModes(reason=f"the text {name[:80]} cannot be read ({error.strerror})") from None


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
    for note in usage.notes:
        print(note, file=sys.stderr)
    return text
