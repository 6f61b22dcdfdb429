"""What can be picked and what it would take: lines of the picker, and the card with its plan. Pure; all is escaped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from models.domain.memory.model_info import ModelInfo
from models.domain.memory.plan import LoadPlan, Part
from models.domain.units import size

from .quantizations import speed

_MEANINGS = {
    "quantized": "the matrices of the layers, in the few bits of this mode",
    "constants": "scales that turn quantized values back into numbers",
    "linear": "the matrices of the layers, not quantized",
    "embeddings": "one vector a word piece, not quantized",
    "head": "what turns the last layer into the next token, not quantized",
    "norms": "small vectors of each layer, not quantized",
    "adapters": "LoRA matrices beside the layers",
    "kv": "keys and values of the conversation so far; grows with the context",
    "activations": "the largest tensors while a prompt is read",
    "tokenizer": "the vocabulary and its merges",
    "framework": "torch or llama.cpp themselves, whatever the model",
}


def parameters(count: int) -> str:
    """A parameter count as the field writes it: 135M, 1.2B, 70B."""
    if count < 1_000_000_000:
        return f"{count / 1e6:.0f}M"
    return f"{count / 1e9:.1f}B".replace(".0B", "B")


def choice(model: ModelInfo) -> str:
    """A model's line in the picker: chat or base, sizes, licence, what stands in the way."""
    kind = "base" if model.kind == "base" else "chat"
    parts = [model.title, kind, *([parameters(model.parameters)] if model.parameters else [])]
    if (offer := model.plans.get(model.auto)) and offer.needed:
        parts.append(size(offer.needed))
    parts.append(model.licence)
    if not model.fits:
        parts.append("does not fit here" if model.plans else "cannot run here")
    if model.gated and not model.without_hub:
        parts.append("gated")
    if model.on_this_machine:
        parts.append("on this machine")
    elif model.without_hub:
        parts.append("works without the Hub")
    return " · ".join(parts)


def card(
    model: ModelInfo, planned: LoadPlan, nearest: Sequence[LoadPlan] = (), held: Any = None, longest: int = 0
) -> str:
    """What is known of the picked variant: its plan before anything is loaded, what was measured after."""
    licence = escape(model.licence)
    if model.licence_url.startswith("https://"):
        licence = f'<a href="{escape(model.licence_url)}" target="_blank" rel="noopener">{licence}</a>'
    page = f"https://huggingface.co/{model.hub_id}"
    source = f'<a href="{escape(page)}" target="_blank" rel="noopener">{escape(model.hub_id)}</a>'
    rows = {
        "Kind": "base: continues text" if model.kind == "base" else "chat: follows instructions",
        "Parameters": f"{model.parameters:,}" if model.parameters else "",
        "Context": _context(model),
        "Longest that fits": f"{longest:,} tokens, one conversation" if 0 < longest < model.context else "",
        "Speed": _speed(model, planned),
        "Licence": licence,
        "Source": source if model.hub_id else "",
        "Files": _files(model, planned.mode) if planned.is_local else "",
    }
    lines = "".join(f"<dt>{name}</dt><dd>{value}</dd>" for name, value in rows.items() if value)
    if planned.is_local:
        memory = f"{verdict(planned)}{near(nearest)}{parts(planned)}{measured(held)}"
    else:
        memory = f'<p class="verdict">Computed by {escape(planned.budget.device)}: it takes no memory here.</p>'
    drawn = f'{memory}<dl class="facts">{lines}</dl>'
    return f'<div class="card" data-variant="{escape(planned.variant)}">{drawn}</div>'


def chip(model: ModelInfo, planned: LoadPlan) -> str:
    """The variant in a line that opens the picker: its name, its mode, its adapters, and what must be free of what."""
    fit = "" if planned.fits else " too-large"
    beside = "".join(f" + {escape(name)}" for name in planned.variant.split("+")[1:])
    room = f"{size(planned.needed)} of {size(max(0, planned.budget.free))}" if planned.is_local else "elsewhere"
    parts = f"<b>{escape(model.title)}</b> · {escape(planned.mode)}{beside} · {room}"
    title = f"must be free, and available of {planned.budget.device}; press to pick another"
    return _chip(parts, fit, title)


def no_chip() -> str:
    """The same where nothing is picked."""
    return _chip("Nothing is picked", " too-large", "press to pick a model")


def _chip(content: str, kind: str, title: str) -> str:
    press = "window.paddock.openPicker()"
    return f'<button type="button" class="chip{kind}" title="{escape(title)}" onclick="{press}">{content}</button>'


def verdict(planned: LoadPlan) -> str:
    """Whether it fits: a sentence, and what must be free against what is available, which a mark shows."""
    total, free = planned.needed, max(0, planned.budget.free)
    scale = max(total, free, 1)
    return (
        f'<div class="verdict{"" if planned.fits else " too-large"}"><p>{sentence(planned)}</p>'
        f'<div class="meter" title="{size(total)}; the mark is at {size(free)}, which is available">'
        f'<i style="width:{total / scale:.2%}"></i><b style="left:{free / scale:.2%}"></b></div></div>'
    )


def parts(planned: LoadPlan) -> str:
    """What the whole is made of, as one bar and a legend with bytes."""
    bars = legend = ""
    for part in planned.parts:
        title = escape(_meaning(part))
        bars += f'<i class="part {part.key}" style="width:{part.bytes / planned.total:.2%}" title="{title}"></i>'
        legend += f'<tr title="{title}"><td><i class="part {part.key}"></i>{escape(part.label)}</td>'
        legend += f"<td>{size(part.bytes)}</td></tr>"
    many = f", {planned.batch} conversations at once" if planned.batch > 1 else ""
    basis = f"with a context of {planned.context:,} tokens{many}"
    return f'<div class="parts">{bars}</div><table class="legend">{legend}</table><p class="quiet">{basis}</p>'


def sentence(planned: LoadPlan) -> str:
    """The verdict in words."""
    total, free, device = size(planned.needed), size(max(0, planned.budget.free)), escape(planned.budget.device)
    what = f"<b>{escape(planned.mode)}</b>"
    if planned.fits:
        return f"{what} {'is tight' if planned.tight else 'fits'}: {total} must be free, {free} of {device} available"
    return f"{what} does not fit: {total} must be free, {free} of {device} available"


def measured(held: Any) -> str:
    """What the loaded model takes beside what was predicted; nothing while it is not loaded."""
    if held is None or not held.engine:
        return ""
    return (
        f'<p class="measured" title="bytes of the weights as planned before the load, and as loaded">Loaded in '
        f"{held.load_s:.1f} s: weights {size(held.predicted_bytes)} predicted, {size(held.bytes)} measured</p>"
    )


def near(plans: Iterable[LoadPlan]) -> str:
    """The nearest variants that fit, as buttons that pick them."""
    buttons = "".join(
        f'<button type="button" class="small-button" data-press="{escape(found.variant)}">'
        f"{escape(found.variant)} · {size(found.needed)}</button>"
        for found in plans
    )
    return f'<div class="nearest"><span class="quiet">What fits:</span>{buttons}</div>' if buttons else ""


def back(spelling: str) -> str:
    """The way back from a pick that failed, as a button that picks what was picked before."""
    if not spelling:
        return ""
    name = escape(spelling)
    button = f'<button type="button" class="small-button" data-press="{name}">Use {name}</button>'
    return f'<div class="nearest back">{button}</div>'


def _meaning(part: Part) -> str:
    return f"{part.label}, {size(part.bytes)}: {_MEANINGS.get(part.key, '')}".removesuffix(": ")


def _context(model: ModelInfo) -> str:
    here, whole = model.context_here, model.context
    return f"{whole:,} tokens" if here == whole else f"{here:,} of its {whole:,} tokens"


def _files(model: ModelInfo, mode: str) -> str:
    form = "gguf" if mode.startswith("gguf") else "safetensors"
    if mode.startswith("gguf-"):  # one file of several; which of them is here is not known before it is asked for
        return "the one file of this label, from this machine or from where it is published"
    if form in model.on_this_machine:
        return "on this machine"
    if model.without_hub:
        source = "from the Hub, or from the package index when the Hub cannot be reached"
        return source if form == "gguf" else f"{source}; the GGUF is then converted to safetensors, once"
    return "from the Hub" + (", after you accept the licence there" if model.gated else "")


def _speed(model: ModelInfo, planned: LoadPlan) -> str:
    offer = model.plans.get(planned.mode)
    return f"{speed(offer.speed)} tokens/s, an estimate" if offer and offer.speed else ""
