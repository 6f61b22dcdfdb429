"""An answer's figures, progress and errors as HTML and Markdown. Pure; everything from outside is escaped."""

from __future__ import annotations

from html import escape

from models.domain.errors import PaddockError
from models.domain.messages import Progress, Usage
from models.domain.units import size

from .language import error_sentences

_STAGES = {
    "waiting": "Waiting",
    "download": "Downloading",
    "verify": "Checking the files:",
    "convert": "Converting to safetensors (once)",
    "read": "Reading the weights",
    "quantize": "Quantizing the weights",
    "warm up": "Warming up",
    "prefill": "Reading the prompt",
    "score": "Scoring the text",
    "merge": "Merging",
    "train": "Training",
    "evaluate": "Checking on the held-out rows",
}
_FINISH = {
    "stop": "the model ended its answer",
    "length": "the token limit was reached",
    "stop_string": "a stop text came up",
    "cancelled": "stopped by you",
    "time_limit": "the time limit was reached",
    "error": "an error",
}


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
        "Adapters that acted": ", ".join(f"`{name}`" for name in usage.adapters) or "none",
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
    if usage.notes:
        rows["Note"] = " ".join(usage.notes)
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
        + "".join(f'<div class="status note"><span>{escape(note)}</span></div>' for note in usage.notes)
    )


def progress(step: Progress) -> str:
    """What is being waited for, with a bar where the end is known."""
    amount = ""
    if step.total:
        done, total = (size(n) if step.unit == "bytes" else f"{n:,.0f}" for n in (step.done, step.total))
        amount = f"{done} of {total}" + (f" {step.unit}" if step.unit != "bytes" else "")
    share = min(1.0, step.done / step.total) if step.total else 0
    kind = "bar" if step.total else "bar busy"
    words = f"{_STAGES.get(step.stage, step.stage)} {step.detail}".strip()
    return (
        f'<div class="status" role="status"><span class="{kind}"><i style="width:{share:.1%}"></i></span>'
        f"<span>{escape(words)}</span><span>{escape(amount)}</span></div>"
    )


def waiting() -> str:
    """What stands there between the click and the first news."""
    return '<div class="status" role="status"><span class="bar busy"><i></i></span><span>Starting</span></div>'


def stopped() -> str:
    """What stands there when Stop came before the first token."""
    return said("Stopped before the first token.")


def said(sentence: str) -> str:
    """A plain sentence in the place of a status line."""
    return f'<div class="status" role="status"><span>{escape(sentence)}</span></div>'


def error(failure: PaddockError) -> str:
    """An error where the eye is: what happened, and what to do next."""
    message, hint = error_sentences(failure)
    return f'<div class="status error" role="alert"><b>{escape(message)}</b> <span>{_linked(hint)}</span></div>'


def _linked(text: str) -> str:
    words = (
        f'<a href="{escape(word.rstrip(".,"))}" target="_blank" rel="noopener">{escape(word.rstrip(".,"))}</a>'
        f"{escape(word[len(word.rstrip('.,')) :])}"
        if word.startswith("https://huggingface.co/")
        else escape(word)
        for word in text.split(" ")
    )
    return " ".join(words)
