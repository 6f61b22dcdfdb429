"""The quantizations of the picked model as a short table: what must be free, whether it fits, how fast it may be."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from html import escape
from types import MappingProxyType

from models.domain.memory.model_info import ModelInfo, Offer, by_exactness
from models.domain.memory.speed import Speed
from models.domain.quantization import KV_TYPES
from models.domain.units import size
from models.domain.variant import AUTO

from ..shared.language import say
from .models import fit_sign

# Those of one kind that take the same are one row.
KINDS = {"4 bits": ("nf4", "fp4"), "16 bits": ("bf16", "fp16"), "GGUF": ("gguf",)}


def quantization_table(
    info: ModelInfo,
    picked: str,
    summaries: Mapping[str, str],
    perplexities: Mapping[str, float] = MappingProxyType({}),
    more: Collection[str] = (),
) -> str:
    """A row a quantization, each a button that picks it; those of one size are folded into one row.

    Those of `more` files, which the Hub alone lists, are folded below them, but for the picked one. Then the types of
    KV cache that the picked one can have, which the others keep where they can have it too.
    `perplexities` are those that were measured, by mode: quality is told against the most exact of them.
    """
    columns: dict[str, Callable[[str, Offer], str]] = {
        _head(say("Must be free"), say("What must be free to load it and to answer with the planned context")): _needed,
        _head(f'<span class="hidden">{say("Fits")}</span>'): _fit,
        _head(say("tokens/s")): _speed,
        _head(say("Quality"), _compared_with(info, perplexities)): partial(_loss, info, perplexities),
    }

    def drawn(title: str, rows: Mapping[str, tuple[str, str, str]], chosen: str) -> str:
        """A table of modes, by what each is called, in short is, and others of its size; the chosen one is marked."""
        offers = {name: info.plans[name if name != AUTO else info.auto] for name in rows}
        cells = {head: {name: cell(name, offer) for name, offer in offers.items()} for head, cell in columns.items()}
        shown = [head for head, column in cells.items() if any(column.values())]  # of which anything is known
        lines = "".join(
            f'<tr class="{"picked " if name == chosen else ""}{"" if offers[name].fits else "too-large"}">'
            f'<td><button type="button" data-press="{escape(name)}" aria-pressed="{str(name == chosen).lower()}" '
            f'title="{escape(summary)}">{label}</button>{also}</td>'
            f"{''.join(cells[head][name] or '<td></td>' for head in shown)}</tr>"
            for name, (label, summary, also) in rows.items()
        )
        heads = f"<tr>{title}{''.join(shown)}</tr>"
        return f'<table class="quantizations"><thead>{heads}</thead><tbody>{lines}</tbody></table>' if rows else ""

    plain, _, kv = (info.auto if picked == AUTO else picked).partition("/")
    listed = {
        name: offer
        for name, offer in info.plans.items()
        if name.partition("/")[2] == (kv if name.startswith("gguf") else "")
    }
    folded = {name for name in listed if name.partition("/")[0] in more and name != picked}
    auto = (f"auto <small>{escape(info.auto)}</small>", say("what suits this hardware best"), "")

    def rows(names: Collection[str]) -> dict[str, tuple[str, str, str]]:
        groups = _folded({name: offer for name, offer in listed.items() if name in names})
        ordered = [sorted(group, key=lambda name: name != picked) for group in groups]
        short = [group[0].partition("/")[0] for group in ordered]
        lines = zip(ordered, short, strict=True)
        return {own: (escape(name), say(summaries.get(name, "")), _alike(alike)) for (own, *alike), name in lines}

    meaning = say("How llama.cpp holds keys and values: fewer bits leave room for a longer context, and change answers")
    spelled = {f"{plain}/{each}".rstrip("/"): ggml for each, (ggml, _) in KV_TYPES.items()}
    caches = {name: (ggml, meaning, "") for name, ggml in spelled.items() if name in info.plans}
    return (
        drawn(_head(say("Quantization")), ({AUTO: auto} if info.auto else {}) | rows(listed.keys() - folded), picked)
        + _more(len(folded), drawn(_head(say("File")), rows(folded), picked))
        + (drawn(_head(say("KV cache"), meaning), caches, f"{plain}/{kv}".rstrip("/")) if len(caches) > 1 else "")
        + refused(info.refused)
    )


def _more(count: int, table: str) -> str:
    """The other files, which open in one press."""
    summary = say("{count} more GGUF files on the Hub", count=count)
    return f'<details class="quiet more-files"><summary>{summary}</summary>{table}</details>' if count else ""


def _head(words: str, meaning: str = "") -> str:
    return f'<th title="{meaning}">{words}</th>' if meaning else f"<th>{words}</th>"


def _needed(name: str, offer: Offer) -> str:
    return f"<td>{size(offer.needed) if offer.needed else '–'}</td>"


def _fit(name: str, offer: Offer) -> str:
    sign, word = fit_sign(offer.fits, offer.tight)
    return f'<td class="fit" title="{word}" aria-label="{word}">{sign}</td>'


def _speed(name: str, offer: Offer) -> str:
    return f"<td>{estimated(offer.speed)}</td>" if offer.speed else ""


def _most_exact(info: ModelInfo, perplexities: Mapping[str, float]) -> str:
    return next((name for name in by_exactness(info.plans) if name in perplexities), "")


def _compared_with(info: ModelInfo, perplexities: Mapping[str, float]) -> str:
    return say(
        "Perplexity of the reference text, measured here, compared with {mode}, the most exact measured so far",
        mode=escape(_most_exact(info, perplexities)),
    )


def _loss(info: ModelInfo, perplexities: Mapping[str, float], name: str, offer: Offer) -> str:
    found = perplexities.get(info.auto if name == AUTO else name)
    if found is None:
        return ""
    return f"<td>{found / perplexities[_most_exact(info, perplexities)] - 1:+.1%}</td>"


def _folded(plans: Mapping[str, Offer]) -> list[list[str]]:
    """Names of one kind that must have as much free, in the digits that are shown."""
    groups: dict[tuple[str, str], list[str]] = {}
    for name, offer in plans.items():
        groups.setdefault((_kind(name), size(offer.needed)), []).append(name)
    return list(groups.values())


def _kind(name: str) -> str:
    return next((kind for kind, starts in KINDS.items() if name.startswith(starts)), name)


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
        f'<button type="button" class="inline" data-press="{escape(name)}">{escape(name.partition("/")[0])}</button>'
        for name in names
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
