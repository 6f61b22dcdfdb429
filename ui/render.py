"""Values as HTML and Markdown: figures, progress, errors, cards. Pure; everything from outside is escaped."""

from __future__ import annotations

import time
from collections.abc import Iterable
from html import escape
from typing import Any

from models.spec.errors import PaddockError
from models.spec.messages import Progress, Usage

_STAGES = {
    "waiting": "Waiting for the model",
    "download": "Downloading",
    "convert": "Converting to safetensors (once)",
    "load": "Loading",
    "prefill": "Reading the prompt",
}
_FINISH = {
    "stop": "the model ended its answer",
    "length": "the token limit was reached",
    "stop_string": "a stop text came up",
    "cancelled": "stopped by you",
    "time_limit": "the time limit was reached",
    "error": "an error",
}


def size(count: float) -> str:
    """Bytes for people, in decimal units."""
    for unit in ("B", "kB", "MB", "GB"):
        if round(abs(count)) < 1000 or unit == "GB":
            return f"{count:.0f} {unit}" if unit in ("B", "kB", "MB") else f"{count:.1f} {unit}"
        count /= 1000
    raise AssertionError


def parameters(count: int) -> str:
    """A parameter count as the field writes it: 135M, 1.2B, 70B."""
    if count < 1_000_000_000:
        return f"{count / 1e6:.0f}M"
    return f"{count / 1e9:.1f}B".replace(".0B", "B")


def figures(usage: Usage) -> str:
    """The line under an answer."""
    parts = [f"{usage.new_tokens} tokens", f"{usage.decode_tokens_per_s:.1f} tok/s", f"TTFT {usage.ttft_s:.2f} s"]
    if usage.finish not in ("stop", "stop_string"):
        parts.append({"length": "cut at the limit", "cancelled": "stopped"}.get(usage.finish or "", str(usage.finish)))
    return " · ".join([*parts, usage.variant])


def figures_table(usage: Usage) -> str:
    """All figures of an answer, as Markdown."""
    rows = {
        "Variant": f"`{usage.variant}`, computed by {usage.engine}",
        "Prompt": f"{usage.prompt_tokens:,} tokens, {usage.cached_tokens:,} of them kept from the turn before",
        "Time to first token": f"{usage.ttft_s:.2f} s",
        "Prefill": f"{usage.prefill_tokens_per_s:,.0f} tokens/s",
        "Decode": f"{usage.new_tokens:,} tokens at {usage.decode_tokens_per_s:.1f} tokens/s",
        "Loading": f"{usage.load_s:.1f} s" if usage.load_s > 0.1 else "was in memory",
        "Wall time": f"{usage.wall_s:.2f} s",
        "Peak memory of the process": size(usage.peak_bytes) if usage.peak_bytes else "not measured",
        "Ended because": _FINISH.get(usage.finish or "", "unknown"),
        "Seed": "none: greedy" if usage.seed is None else str(usage.seed),
    }
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows.items())])


def gauge(usage: Usage) -> str:
    """How much of the context is used, and the speed while tokens come."""
    if not usage.context:
        return ""
    used = usage.prompt_tokens + usage.new_tokens
    share = min(1.0, used / usage.context)
    title = "Prompt and answer together may not be longer than the context"
    speed = f"{usage.decode_tokens_per_s:.0f} tok/s" if usage.finish is None and usage.new_tokens > 1 else ""
    return (
        f'<div class="status" title="{title}"><span class="bar"><i style="width:{share:.1%}"></i></span>'
        f"<span>context {used:,} of {usage.context:,} tokens</span><span>{speed}</span></div>"
    )


def progress(step: Progress) -> str:
    """What is being waited for, with a bar where the end is known."""
    amount = ""
    if step.total:
        done, total = (size(n) if step.unit == "bytes" else f"{n:.0f}" for n in (step.done, step.total))
        amount = f"{done} of {total}"
    share = min(1.0, step.done / step.total) if step.total else 0
    kind = "bar" if step.total else "bar busy"
    return (
        f'<div class="status" role="status"><span class="{kind}"><i style="width:{share:.1%}"></i></span>'
        f"<span>{_STAGES[step.stage]} {escape(step.detail)}</span><span>{amount}</span></div>"
    )


def waiting() -> str:
    """What stands there between the click and the first news."""
    return '<div class="status" role="status"><span class="bar busy"><i></i></span><span>Starting</span></div>'


def stopped() -> str:
    """What stands there when Stop came before the first token."""
    return '<div class="status" role="status"><span>Stopped before the first token.</span></div>'


def error(failure: PaddockError) -> str:
    """An error where the eye is: what happened, and what to do next."""
    return (
        f'<div class="status error" role="alert"><b>{escape(failure.message)}</b> '
        f"<span>{_linked(failure.hint)}</span></div>"
    )


def _linked(text: str) -> str:
    words = (
        f'<a href="{escape(word.rstrip(".,"))}" target="_blank" rel="noopener">{escape(word.rstrip(".,"))}</a>'
        f"{escape(word[len(word.rstrip('.,')) :])}"
        if word.startswith("https://huggingface.co/")
        else escape(word)
        for word in text.split(" ")
    )
    return " ".join(words)


def choice(model: dict[str, Any]) -> str:
    """A model's line in the picker: family and size, chat or base, licence, what stands in the way."""
    kind = "base" if model["kind"] == "base" else "chat"
    parts = [model["title"], kind, parameters(model["parameters"]), model["licence"]]
    if model["gated"] and not model["without_hub"]:
        parts.append("gated")
    if model["on_this_machine"]:
        parts.append("on this machine")
    elif model["without_hub"]:
        parts.append("works without the Hub")
    return " · ".join(parts)


def card(model: dict[str, Any], mode: str, spelling: str) -> str:
    """What is known of the picked variant before anything is loaded."""
    licence = escape(model["licence"])
    if model["licence_url"].startswith("https://"):
        licence = f'<a href="{escape(model["licence_url"])}" target="_blank" rel="noopener">{licence}</a>'
    page = f"https://huggingface.co/{model['hub_id']}"
    rows = {
        "Kind": "base: continues text" if model["kind"] == "base" else "chat: follows instructions",
        "Parameters": f"{model['parameters']:,}",
        "Context": _context(model),
        "Runs as": f"{escape(mode)}",
        "Licence": licence,
        "Source": f'<a href="{escape(page)}" target="_blank" rel="noopener">{escape(model["hub_id"])}</a>',
        "Files": _files(model, mode),
    }
    lines = "".join(f"<dt>{name}</dt><dd>{value}</dd>" for name, value in rows.items())
    return f'<dl class="card" data-variant="{escape(spelling)}">{lines}</dl>'


def _context(model: dict[str, Any]) -> str:
    here, whole = model["context_here"], model["context"]
    return f"{whole:,} tokens" if here == whole else f"{here:,} of its {whole:,} tokens"


def _files(model: dict[str, Any], mode: str) -> str:
    form = "gguf" if mode == "gguf" else "safetensors"
    if form in model["on_this_machine"]:
        return "on this machine"
    if model["without_hub"]:
        source = "from the Hub, or from the package index when the Hub cannot be reached"
        return source if form == "gguf" else f"{source}; the GGUF is then converted to safetensors, once"
    return "from the Hub" + (", after you accept the licence there" if model["gated"] else "")


def held(lines: Iterable[Any]) -> str:
    """What is in memory."""
    rows = "".join(
        f"<tr><td>{escape(line.name)}</td><td>{size(line.bytes)}</td><td>{_ago(line)}</td></tr>" for line in lines
    )
    if not rows:
        return '<p class="quiet">Nothing yet: the first answer loads it.</p>'
    return f'<table class="held">{rows}</table>'


def _ago(line: Any) -> str:
    if line.users:
        return "in use"
    seconds = max(0, time.time() - line.last_used)
    return "just now" if seconds < 60 else f"{seconds / 60:.0f} min ago"
