"""An answer's figures, progress and errors as HTML and Markdown. Pure; everything from outside is escaped."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from urllib.parse import quote

from models.domain.errors import PaddockError
from models.domain.messages import Progress, Usage
from models.domain.remedy import Remedy, remedy
from models.domain.results.figures import ending, speed_text, thought_text
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
    "think": "Thinking",
    "time": "Measuring the speed",
    "score": "Scoring the text",
    "merge": "Merging",
    "train": "Training",
    "evaluate": "Checking on the held-out rows",
    "hash": "Computing checksums",
    "upload": "Uploading",
}
FINISHES = {
    "stop": "the model ended its answer",
    "length": "the token limit was reached",
    "stop_string": "a stop text came up",
    "cancelled": "stopped by you",
    "time_limit": "the time limit was reached",
    "error": "an error",
}


def counted(tokens: int) -> str:
    """So many tokens."""
    return say("1 token") if tokens == 1 else say("{count} tokens", count=f"{tokens:,}")


def figures(usage: Usage) -> str:
    """The line under an answer."""
    speed = speed_text(usage.decode_tokens_per_s, usage.new_tokens)
    parts = [
        counted(usage.new_tokens - usage.thought_tokens),
        *([say(speed)] if speed else []),
        say("TTFT {seconds} s", seconds=f"{usage.ttft_s:.2f}"),
    ]
    if usage.finish not in ("stop", "stop_string") or usage.thinking == "open":
        parts.append(say(ending(usage)))
    return " · ".join([*parts, usage.variant])


def thought(usage: Usage) -> str:
    """The line above an answer that opens to what was thought."""
    taken = {"seconds": f"{usage.thought_s:.1f}", "count": f"{usage.thought_tokens:,}"}
    running = usage.thinking == "open" and usage.finish is None
    line = say("thinking {seconds} s, {count} tokens" if running else "thought {seconds} s, {count} tokens", **taken)
    if usage.thinking == "budget":
        return say("{thought}, until its budget was spent", thought=line)
    return say("{thought}, and was cut there", thought=line) if usage.thinking == "open" and not running else line


def figures_table(usage: Usage) -> str:
    """All figures of an answer, as Markdown."""
    prompt, kept = f"{usage.prompt_tokens:,}", f"{usage.cached_tokens:,}"
    count, speed = f"{usage.new_tokens:,}", say(speed_text(usage.decode_tokens_per_s, usage.new_tokens))
    rows = {
        say("Variant"): say("`{variant}`, computed by {engine}", variant=usage.variant, engine=usage.engine),
        say("Active adapters"): ", ".join(f"`{name}`" for name in usage.adapters) or say("none"),
        say("Prompt"): say("{prompt} tokens, {kept} of them kept from the turn before", prompt=prompt, kept=kept),
        say("Time to first token"): f"{usage.ttft_s:.2f} s",
        say("Decode"): (
            say("{count} tokens at {speed}", count=count, speed=speed) if speed else say("{count} tokens", count=count)
        ),
        say("Loading"): f"{usage.load_s:.1f} s" if usage.load_s > 0.1 else say("was in memory"),
        say("Total time"): f"{usage.wall_s:.2f} s",
        say("Peak memory of the process"): size(usage.peak_bytes) if usage.peak_bytes else say("not measured"),
        say("Ended because"): say(FINISHES.get(usage.finish or "", "unknown")),
        say("Seed"): say("none: greedy") if usage.seed is None else str(usage.seed),
    }
    if usage.thinking:
        rows[say("Thought")] = say(thought_text(usage))
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


# The seconds since it began to be waited, counted by the style: it costs no event and goes on while nothing comes.
_ELAPSED = '<span class="elapsed"></span>'


def progress(step: Progress, stages: Mapping[str, str] = STAGES) -> str:
    """What is being waited for, for how long, and how far it is where that is known."""
    amount = ""
    if step.total:
        done, total = (size(n) if step.unit == "bytes" else f"{n:,.0f}" for n in (step.done, step.total))
        unit = "" if step.unit == "bytes" else f" {say(step.unit)}"
        amount = say("{done} of {total}{unit}", done=done, total=total, unit=unit) if step.done else f"{total}{unit}"
    share = min(1.0, step.done / step.total) if step.total else 0
    kind = "bar" if share else "bar busy"
    words = f"{say(stages.get(step.stage, step.stage))} {say(step.detail)}".strip()
    return (
        f'<div class="status" role="status"><span class="{kind}"><i style="width:{share:.1%}"></i></span>'
        f"<span>{escape(words)}</span><span>{escape(amount)}</span>{_ELAPSED}</div>"
    )


def waiting() -> str:
    """What stands there between the click and the first news."""
    bar = '<span class="bar busy"><i style="width:0.0%"></i></span>'
    return f'<div class="status" role="status">{bar}<span>{say("Starting")}</span><span></span>{_ELAPSED}</div>'


def stopped(finish: str | None) -> str:
    """What stands there when Stop, or the time limit, came before the first token."""
    if finish == "time_limit":
        return said(say("The time limit was reached before the first token."))
    return said(say("Stopped before the first token."))


def said(sentence: str) -> str:
    """A plain sentence in the place of a status line."""
    return f'<div class="status" role="status"><span>{escape(sentence)}</span></div>'


def error(failure: PaddockError) -> str:
    """An error where the eye is: what happened, and what to do next."""
    message, hint = error_sentences(failure)
    said = f"<b>{escape(message)}</b> <span>{_linked(hint)}</span>"
    return f'<div class="status error" role="alert">{said}{_next_step(remedy(failure))}</div>'


# Where on the Hub something can be done about an error.
_PAGES = {
    "licence_not_accepted": ("Open its licence", "https://huggingface.co/{model}"),
    "access_awaited": ("Open my requests", "https://huggingface.co/settings/gated-repos"),
    "token_without_scope": ("Open my tokens", "https://huggingface.co/settings/tokens"),
}


def _next_step(known: Remedy) -> str:
    if known.instead:
        words = escape(without_gpu(known.instead))
        return f' <button type="button" class="small-button" data-use="{escape(known.instead)}">{words}</button>'
    return place_for(known)


def without_gpu(variant: str) -> str:
    """The words of a button that takes a variant which needs no GPU."""
    return say("Use {variant}: no GPU quota", variant=variant)


def place_for(known: Remedy) -> str:
    """A link or a button to where something can be done about an error, if it is known."""
    if known.code in _PAGES:
        words, page = _PAGES[known.code]
        there = escape(page.format(model=quote(known.model)))
        return f' <a class="small-button" href="{there}" target="_blank" rel="noopener">{say(words)}</a>'
    if known.code not in ("not_signed_in", "bad_token"):
        return ""
    return f' <button type="button" class="small-button" data-open="access">{say("Sign in")}</button>'


def _linked(text: str) -> str:
    words = (
        f'<a href="{escape(word.rstrip(".,"))}" target="_blank" rel="noopener">{escape(word.rstrip(".,"))}</a>'
        f"{escape(word[len(word.rstrip('.,')) :])}"
        if word.startswith("https://huggingface.co/")
        else escape(word)
        for word in text.split(" ")
    )
    return " ".join(words)
