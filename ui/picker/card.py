"""What the picked variant would take and is: the chip in a line, and the card with its plan. All is escaped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from models.domain.memory.model_info import ModelInfo
from models.domain.memory.plan import LoadPlan, Part
from models.domain.units import size
from models.domain.variant import Variant

from ..shared.language import say
from .quantizations import estimated

MEANINGS = {
    "quantized": "the matrices of the layers, in the few bits of this mode",
    "constants": "scales that turn quantized values back into numbers",
    "linear": "the matrices of the layers, not quantized",
    "experts": "the experts of the layers, which no mode of transformers quantizes",
    "embeddings": "one vector a word piece, not quantized",
    "head": "what turns the last layer into the next token, not quantized",
    "norms": "small vectors of each layer, not quantized",
    "adapters": "LoRA matrices beside the layers",
    "kv": "keys and values of the conversation so far; grows with the context",
    "state": "what layers without a KV cache keep of a conversation, however long",
    "activations": "the largest tensors while a prompt is read",
    "tokenizer": "the vocabulary and its merges",
    "framework": "torch or llama.cpp themselves, whatever the model",
}


def card(
    model: ModelInfo,
    planned: LoadPlan,
    nearest: Sequence[LoadPlan] = (),
    held: Any = None,
    longest: int = 0,
    note: str = "",
    spelling: str = "",
) -> str:
    """What is known of the picked variant: its plan before anything is loaded, what was measured after, and a note.

    `spelling` is that of the pick, for the page's address.
    """
    if planned.is_local:
        memory = f"{verdict(planned)}{near(nearest)}{_outlook(model, planned, longest)}{measured(held)}"
    else:
        where = say("Computed by {device}: it takes no memory here.", device=escape(planned.budget.device))
        memory = f'<p class="verdict">{where}</p>'
    details = (parts(planned) if planned.is_local else "") + _facts(model, planned)
    notes = "".join(f'<p class="quiet">{escape(say(one))}</p>' for one in planned.notes)
    drawn = f"{memory}{notes}{note}<details><summary>{say('Details')}</summary>{details}</details>"
    names = f'data-variant="{escape(planned.variant)}" data-spelling="{escape(spelling)}"'
    return f'<div class="card" {names}>{drawn}</div>'


def gave_way(wanted: Variant, model: ModelInfo) -> str:
    """Says that adapters changed the quantization, why, and how to undo that."""
    mode, reason = wanted.quantization, say(model.refused.get(wanted.quantization.partition("/")[0], ""))
    said = say("{mode} cannot be used with adapters here, so the quantization is now auto.", mode=escape(mode))
    undo = say("Back to {mode} without adapters", mode=escape(mode))
    button = _button(str(wanted.without_adapters), undo)
    return f'<div class="notice" role="status"><p>{said} {escape(reason)}</p>{button}</div>'


def toy(good: str, title: str, download: int) -> str:
    """Says of a toy that it is one, and offers a model that answers well."""
    words = say("This model is a toy, good for trying the page. {model} answers well.", model=escape(title))
    return f'<p class="quiet toy">{words} {_button(good, say("Use it: {size}", size=size(download)))}</p>'


def _outlook(model: ModelInfo, planned: LoadPlan, longest: int) -> str:
    """How far and how fast it goes on the chosen hardware."""
    offer = model.plans.get(planned.mode)
    speed = say("{speed} tokens/s, an estimate", speed=estimated(offer.speed)) if offer and offer.speed else ""
    length = say("Longest context that fits: {count} tokens", count=f"{longest:,}") if longest else ""
    lines = " · ".join(filter(None, (length, speed)))
    return f'<p class="quiet">{lines}</p>' if lines else ""


def _facts(model: ModelInfo, planned: LoadPlan) -> str:
    licence = escape(model.licence)
    if model.licence_url.startswith("https://"):
        licence = f'<a href="{escape(model.licence_url)}" target="_blank" rel="noopener">{licence}</a>'
    page = f"https://huggingface.co/{model.hub_id}"
    source = f'<a href="{escape(page)}" target="_blank" rel="noopener">{escape(model.hub_id)}</a>'
    rows = {
        say("Kind"): say("base: continues text") if model.kind == "base" else say("chat: follows instructions"),
        say("Parameters"): _parameters(model),
        say("Context"): _context(model),
        say("Licence"): licence,
        say("Source"): source if model.hub_id else "",
        say("Files"): _files(model, planned.mode) if planned.is_local else "",
        say("Free disk"): size(model.free_disk) if planned.is_local and model.free_disk else "",
    }
    lines = "".join(f"<dt>{name}</dt><dd>{value}</dd>" for name, value in rows.items() if value)
    return f'<dl class="facts">{lines}</dl>'


def _parameters(model: ModelInfo) -> str:
    if not 0 < model.active_parameters < model.parameters:
        return f"{model.parameters:,}" if model.parameters else ""
    active = f"{model.active_parameters:,}"
    return say("{total}, of which a token uses {active}", total=f"{model.parameters:,}", active=active)


def chip(model: ModelInfo, planned: LoadPlan) -> str:
    """The variant in a line that opens the picker: its name, its mode, its adapters, and what must be free of what."""
    fit = "" if planned.fits else " too-large"
    beside = "".join(f" + {escape(name)}" for name in planned.variant.split("+")[1:])
    free = size(max(0, planned.budget.free))
    room = say("{size} of {free}", size=size(planned.needed), free=free) if planned.is_local else say("elsewhere")
    parts = f"<b>{escape(model.title)}</b> · {escape(planned.mode)}{beside} · {room}"
    device = say(planned.budget.device)
    title = say("What must be free, and what is available of {device}. Press to pick another variant.", device=device)
    return _chip(parts, fit, title)


def no_chip() -> str:
    """The same where nothing is picked."""
    return _chip(say("Nothing is picked"), " too-large", say("Press to pick a model."))


def _chip(content: str, kind: str, title: str) -> str:
    press = "window.paddock.openPicker()"
    return f'<button type="button" class="chip{kind}" title="{escape(title)}" onclick="{press}">{content}</button>'


def verdict(planned: LoadPlan) -> str:
    """Whether it fits: a sentence, and what must be free against what is available, which a mark shows."""
    total, free = planned.needed, max(0, planned.budget.free)
    scale = max(total, free, 1)
    title = say("{size}; the mark is at {free}, which is available", size=size(total), free=size(free))
    return (
        f'<div class="verdict{"" if planned.fits else " too-large"}"><p>{sentence(planned)}</p>'
        f'<div class="meter" title="{title}">'
        f'<i style="width:{total / scale:.2%}"></i><b style="left:{free / scale:.2%}"></b></div></div>'
    )


def parts(planned: LoadPlan) -> str:
    """What the whole is made of, as one bar and a legend with bytes."""
    bars = legend = ""
    for part in planned.parts:
        title = escape(_meaning(part))
        bars += f'<i class="part {part.key}" style="width:{part.bytes / planned.total:.2%}" title="{title}"></i>'
        legend += f'<tr title="{title}"><td><i class="part {part.key}"></i>{escape(say(part.label))}</td>'
        legend += f"<td>{size(part.bytes)}</td></tr>"
    basis = say("with a context of {count} tokens", count=f"{planned.context:,}")
    if planned.batch > 1:
        basis += say(", {count} conversations at once", count=planned.batch)
    return f'<div class="parts">{bars}</div><table class="legend">{legend}</table><p class="quiet">{basis}</p>'


def sentence(planned: LoadPlan) -> str:
    """The verdict in words."""
    words = {"needed": size(planned.needed), "free": size(max(0, planned.budget.free))}
    words |= {"mode": f"<b>{escape(planned.mode)}</b>", "device": escape(say(planned.budget.device))}
    if not planned.fits:
        return say("{mode} does not fit: {needed} must be free, {free} of {device} available", **words)
    if planned.tight:
        return say("{mode} is tight: {needed} must be free, {free} of {device} available", **words)
    return say("{mode} fits: {needed} must be free, {free} of {device} available", **words)


def measured(held: Any) -> str:
    """What the loaded model takes beside what was predicted; nothing while it is not loaded."""
    if held is None or not held.engine:
        return ""
    said = say(
        "Loaded in {seconds} s: weights {predicted} predicted, {bytes} measured",
        seconds=f"{held.load_s:.1f}",
        predicted=size(held.predicted_bytes),
        bytes=size(held.bytes),
    )
    title = say("bytes of the weights as planned before the load, and as loaded")
    return f'<p class="measured" title="{title}">{said}</p>'


def near(plans: Iterable[LoadPlan]) -> str:
    """The nearest variants that fit, as buttons that pick them."""
    buttons = "".join(_button(found.variant, f"{escape(found.variant)} · {size(found.needed)}") for found in plans)
    return f'<div class="nearest"><span class="quiet">{say("What fits:")}</span>{buttons}</div>' if buttons else ""


def back(spelling: str) -> str:
    """The way back from a pick that failed, as a button that picks what was picked before."""
    if not spelling:
        return ""
    return f'<div class="nearest back">{_button(spelling, say("Use {variant}", variant=escape(spelling)))}</div>'


def _button(spelling: str, words: str) -> str:
    return f'<button type="button" class="small-button" data-press="{escape(spelling)}">{words}</button>'


def _meaning(part: Part) -> str:
    meaning = MEANINGS.get(part.key, "")
    return f"{say(part.label)}, {size(part.bytes)}: {say(meaning)}".removesuffix(": ")


def _context(model: ModelInfo) -> str:
    here, whole = model.context_here, model.context
    if here == whole:
        return say("{count} tokens", count=f"{whole:,}")
    return say("{count} of its {whole} tokens", count=f"{here:,}", whole=f"{whole:,}")


def _files(model: ModelInfo, mode: str) -> str:
    form = "gguf" if mode.startswith("gguf") else "safetensors"
    if mode.startswith("gguf-"):  # one file of several; which of them is here is not known before it is asked for
        return say("the one file of this label, from this machine or from where it is published")
    if form in model.on_this_machine:
        return say("on this machine")
    if model.without_hub and form == "gguf":
        return say("from the Hub, or from the package index when the Hub cannot be reached")
    if model.without_hub:
        return say(
            "from the Hub, or from the package index when the Hub cannot be reached; the GGUF is then converted to "
            "safetensors, once, which takes {size} of disk",
            size=size(4 * model.parameters),
        )
    return say("from the Hub, after you accept the licence there") if model.gated else say("from the Hub")
