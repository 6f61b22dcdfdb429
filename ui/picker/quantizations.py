"""The quantizations of the picked model as a short table: what must be free, whether it fits, how fast it may be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from models.domain.memory.model_info import ModelInfo, Offer
from models.domain.memory.speed import Speed
from models.domain.units import size
from models.domain.variant import AUTO

from ..shared.language import say
from .models import fit_sign

# Those of one kind that take the same are one row.
KINDS = {"4 bits": ("nf4", "fp4"), "16 bits": ("bf16", "fp16"), "GGUF": ("gguf",)}


def quantization_table(info: ModelInfo, picked: str, summaries: Mapping[str, str]) -> str:
    """A row a quantization, each a button that picks it; those of one size are folded into one row."""
    rows = ""
    if info.auto:
        offer, label = info.plans[info.auto], f"auto <small>{escape(info.auto)}</small>"
        rows += _row(AUTO, label, offer, picked == AUTO, say("what suits this hardware best"))
    for group in _folded(info.plans):
        first, *same = sorted(group, key=lambda name: name != picked)
        rows += _row(first, escape(first), info.plans[first], picked == first, say(summaries.get(first, "")), same)
    explained = say("What must be free to load it and to answer with the planned context")
    head = (
        f'<tr><th>{say("Quantization")}</th><th title="{explained}">{say("Must be free")}</th>'
        f'<th><span class="hidden">{say("Fits")}</span></th><th>{say("tokens/s")}</th></tr>'
    )
    kind = "quantizations" if any(offer.speed for offer in info.plans.values()) else "quantizations no-speed"
    table = f'<table class="{kind}"><thead>{head}</thead><tbody>{rows}</tbody></table>'
    return (table if rows else "") + refused(info.refused)


def _folded(plans: Mapping[str, Offer]) -> list[list[str]]:
    """Names of one kind that must have as much free, in the digits that are shown."""
    groups: dict[tuple[str, str], list[str]] = {}
    for name, offer in plans.items():
        groups.setdefault((_kind(name), size(offer.needed)), []).append(name)
    return list(groups.values())


def _kind(name: str) -> str:
    return next((kind for kind, starts in KINDS.items() if name.startswith(starts)), name)


def _row(name: str, label: str, offer: Offer, picked: bool, summary: str, same: Sequence[str] = ()) -> str:
    sign, word = fit_sign(offer.fits, offer.tight)
    needed = size(offer.needed) if offer.needed else "–"
    return (
        f'<tr class="{"picked " if picked else ""}{"" if offer.fits else "too-large"}">'
        f'<td><button type="button" data-press="{escape(name)}" aria-pressed="{"true" if picked else "false"}" '
        f'title="{escape(summary)}">{label}</button>{_alike(same)}</td>'
        f'<td>{needed}</td><td class="fit" title="{word}" aria-label="{word}">{sign}</td>'
        f"<td>{estimated(offer.speed)}</td></tr>"
    )


def estimated(estimate: Speed | None) -> str:
    """The range of an estimate, with its formula on hover."""
    if estimate is None:
        return ""
    low, high = estimate.low, estimate.high
    digits = 0 if high >= 10 else 1
    formula = say(
        "Estimate: memory bandwidth {bandwidth} GB/s x the share of it that engines reach / {size} read per token",
        bandwidth=f"{estimate.bandwidth / 1e9:,.0f}",
        size=size(estimate.token_bytes),
    )
    return f'<span class="estimate" title="{formula}">≈ {low:.{digits}f}–{high:.{digits}f}</span>'


def _alike(names: Sequence[str]) -> str:
    """Buttons for others of the same size."""
    buttons = ", ".join(
        f'<button type="button" class="inline" data-press="{escape(name)}">{escape(name)}</button>' for name in names
    )
    return f'<small class="alike">{say("the same size:")} {buttons}</small>' if names else ""


def refused(reasons: Mapping[str, str]) -> str:
    """One line with the modes that cannot run, which opens to the reasons."""
    if not reasons:
        return ""
    grouped: dict[str, list[str]] = {}
    for name, reason in reasons.items():
        grouped.setdefault(reason, []).append(name)
    lines = "".join(f"<li><b>{escape(', '.join(names))}</b>: {escape(say(why))}</li>" for why, names in grouped.items())
    summary = say("Not available here: {names}", names=escape(", ".join(reasons)))
    return f'<details class="quiet refused"><summary>{summary}</summary><ul>{lines}</ul></details>'
