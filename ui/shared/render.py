"""An answer's figures, progress and errors as HTML and Markdown. Pure; everything from outside is escaped."""

from __future__ import annotations

from html import escape

from models.domain.errors import PaddockError
from models.domain.messages import Progress, Usage
from models.domain.results.figures import ENDINGS
from models.domain.units import size

from .language import error_sentences, say

STAGES = {
    "waiting": "Waiting",
    "download": "Downloading",
    "verify": "Checking the files:",
    "convert": "Converting to safetensors (once)",
    "read": "Reading the weights",
    "quantize": "Quantizing the weights",
    "warm up": "Warming up",
    "prefill": "Reading the prompt",
    "time": "Measuring the speed",
    "score": "Scoring the text",
    "merge": "Merging",
    "train": "Training",
    "evaluate": "Checking on the held-out rows",
}
FINISHES = {
    "stop": "the model ended its answer",
    "length": "the token limit was reached",
    "stop_string": "a stop text came up",
    "cancelled": "stopped by you",
    "time_limit": "the time limit was reached",
    "error": "an error",
}


def figures(usage: Usage) -> str:
    """The line under an answer."""
    parts = [
        say("{count} tokens", count=usage.new_tokens),
        say("{speed} tok/s", speed=f"{usage.decode_tokens_per_s:.1f}"),
        say("TTFT {seconds} s", seconds=f"{usage.ttft_s:.2f}"),
    ]
    if usage.finish not in ("stop", "stop_string"):
        parts.append(say(ENDINGS.get(usage.finish or "", str(usage.finish))))
    return " · ".join([*parts, usage.variant])


def figures_table(usage: Usage) -> str:
    """All figures of an answer, as Markdown."""
    prompt, kept = f"{usage.prompt_tokens:,}", f"{usage.cached_tokens:,}"
    decode = {"count": f"{usage.new_tokens:,}", "speed": f"{usage.decode_tokens_per_s:.1f}"}
    rows = {
        say("Variant"): say("`{variant}`, computed by {engine}", variant=usage.variant, engine=usage.engine),
        say("Active adapters"): ", ".join(f"`{name}`" for name in usage.adapters) or say("none"),
        say("Prompt"): say("{prompt} tokens, {kept} of them kept from the turn before", prompt=prompt, kept=kept),
        say("Time to first token"): f"{usage.ttft_s:.2f} s",
        say("Decode"): say("{count} tokens at {speed} tokens/s", **decode),
        say("Loading"): f"{usage.load_s:.1f} s" if usage.load_s > 0.1 else say("was in memory"),
        say("Total time"): f"{usage.wall_s:.2f} s",
        say("Peak memory of the process"): size(usage.peak_bytes) if usage.peak_bytes else say("not measured"),
        say("Ended because"): say(FINISHES.get(usage.finish or "", "unknown")),
        say("Seed"): say("none: greedy") if usage.seed is None else str(usage.seed),
    }
    if not usage.cached_tokens:  # else it was hardly read
        rows[say("Prefill")] = say("{speed} tokens/s", speed=f"{usage.prefill_tokens_per_s:,.0f}")
    if usage.notes:
        rows[say("Note")] = " ".join(map(say, usage.notes))
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows.items())])


def gauge(usage: Usage) -> str:
    """How much of the context is used, and the speed while tokens come."""
    if not usage.context:
        return ""
    used = usage.prompt_tokens + usage.new_tokens
    share = min(1.0, used / usage.context)
    title = say("Prompt and answer together cannot be longer than the context")
    filled = say("context {used} of {context} tokens", used=f"{used:,}", context=f"{usage.context:,}")
    running = usage.finish is None and usage.new_tokens > 1
    speed = say("{speed} tok/s", speed=f"{usage.decode_tokens_per_s:.0f}") if running else ""
    return (
        f'<div class="status" title="{title}"><span class="bar"><i style="width:{share:.1%}"></i></span>'
        f"<span>{filled}</span><span>{speed}</span></div>"
        + "".join(f'<div class="status note"><span>{escape(say(note))}</span></div>' for note in usage.notes)
    )


def progress(step: Progress) -> str:
    """What is being waited for, with a bar where the end is known."""
    amount = ""
    if step.total:
        done, total = (size(n) if step.unit == "bytes" else f"{n:,.0f}" for n in (step.done, step.total))
        unit = "" if step.unit == "bytes" else f" {say(step.unit)}"
        amount = say("{done} of {total}{unit}", done=done, total=total, unit=unit)
    share = min(1.0, step.done / step.total) if step.total else 0
    kind = "bar" if step.total else "bar busy"
    words = f"{say(STAGES.get(step.stage, step.stage))} {say(step.detail)}".strip()
    return (
        f'<div class="status" role="status"><span class="{kind}"><i style="width:{share:.1%}"></i></span>'
        f"<span>{escape(words)}</span><span>{escape(amount)}</span></div>"
    )


def waiting() -> str:
    """What stands there between the click and the first news."""
    busy = '<span class="bar busy"><i></i></span>'
    return f'<div class="status" role="status">{busy}<span>{say("Starting")}</span></div>'


def stopped() -> str:
    """What stands there when Stop came before the first token."""
    return said(say("Stopped before the first token."))


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
