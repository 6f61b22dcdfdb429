"""The listed candidates: what each takes on the visitor's hardware, and whether it runs on this machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

from models.domain.errors import PaddockError
from models.domain.memory.hardware import Hardware
from models.domain.memory.plan import LoadPlan
from models.domain.results.contenders import acts_as, most_of, select_variants
from models.domain.units import size
from models.domain.variant import Variant

from ..shared import render
from ..shared.language import say
from .plan import join, together
from .render import short_names

if TYPE_CHECKING:
    from models.runtime import Runtime


@dataclass(frozen=True)
class Candidate:
    """One line of the list: its plan for the visitor's hardware, or why there is none.

    `refused` says why it does not run on this machine; without it, it does.
    """

    spelling: str
    variant: Variant | None = None
    plan: LoadPlan | None = None
    unplanned: PaddockError | None = None
    refused: PaddockError | None = None
    is_base: bool = False

    @property
    def on_paper(self) -> bool:
        """Planned, but not for this machine to run."""
        return self.plan is not None and self.refused is not None


@dataclass(frozen=True)
class Target:
    """What candidates are planned for: the visitor's hardware (None is this machine), and the context of one model."""

    hardware: Hardware | None = None
    model: str = ""
    context: int | None = None  # that is planned for that model


def find_candidates(
    runtime: Runtime, spellings: Sequence[str], target: Target, token: str | None = None
) -> list[Candidate]:
    """Each listed spelling, planned; raises BadComparisonRequest for what is no list."""
    found = select_variants(spellings, runtime.settings.compared)
    variants = dict(zip(found.places, found.variants, strict=True))
    return [
        _planned(runtime, spelling, variants[place], target, token)
        if place in variants
        else Candidate(str(spelling), None, None, found.left_out[place], found.left_out[place])
        for place, spelling in enumerate(spellings)
    ]


def _planned(runtime: Runtime, spelling: str, variant: Variant, target: Target, token: str | None) -> Candidate:
    refused = unplanned = planned = None
    is_base = False
    try:
        runtime.require(variant, token)
    except PaddockError as error:
        refused = error
    try:
        card = runtime.card(variant, token)
        is_base = card.is_base
        tokens = None
        if target.context is not None:  # others are planned for at least what this server gives
            own = target.context if variant.model == target.model else max(target.context, runtime.settings.context)
            tokens = min(own, card.context)
        planned = runtime.plan(variant, tokens, token, target.hardware)
    except PaddockError as error:
        unplanned = error
    return Candidate(spelling, variant, planned, unplanned, refused, is_base)


def extended(listed: Sequence[str], wanted: Sequence[Variant], most: int) -> tuple[list[str], int, int]:
    """The list with those that are new, as far as the limit allows; how many were added, and how many found no room."""
    there = [variant for spelling in listed if (variant := _parsed(spelling)) is not None]
    known, most = set(map(acts_as, there)), most_of([*there, *wanted], most)
    new: list[Variant] = []
    for variant in wanted:
        if acts_as(variant) not in known:
            known.add(acts_as(variant))
            new.append(variant)
    room = max(0, most - len(listed))
    return [*listed, *map(str, new[:room])], len(new[:room]), len(new[room:])


def _parsed(spelling: str) -> Variant | None:
    try:
        return Variant.parse(spelling)
    except PaddockError:
        return None


# --- drawn: pure, everything from outside is escaped ----------------------------------------------------------


def fit(planned: LoadPlan) -> tuple[str, str, str]:
    """A sign, the word that it stands for, and its class."""
    if not planned.fits:
        return "✗", say("too large"), "too-large"
    return ("~", say("tight"), "tight") if planned.tight else ("✓", say("fits"), "fits")


def names(candidates: Sequence[Candidate]) -> list[str]:
    """The shortest names that tell them apart, with the quantization that `auto` means."""
    return short_names([found.plan.variant if found.plan else found.spelling for found in candidates])


def chips(candidates: Sequence[Candidate]) -> str:
    """A chip a candidate, each with a button that removes it."""
    if not candidates:
        empty = say("No candidates yet. Take one of the lists below, or press Add.")
        return f'<div class="candidates"><span class="quiet">{escape(empty)}</span>{_add()}</div>'
    drawn = "".join(map(_chip, candidates, names(candidates)))
    return f'<ul class="candidates" aria-label="{escape(say("Candidates"))}">{drawn}<li>{_add()}</li></ul>'


def _add() -> str:
    return f'<button type="button" class="add-candidate">+ {escape(say("Add"))}</button>'


def _chip(found: Candidate, name: str) -> str:
    remove = escape(say("Remove {variant}", variant=found.spelling))
    planned, kind, mark, title = found.plan, "unknown", "", ""
    if planned is None:
        title = str(found.unplanned)
        mark = f'<span class="fit" role="img" aria-label="{escape(say("cannot be planned"))}">✗</span>'
    elif not planned.is_local:
        kind, title = "fits", planned.budget.device
        mark = escape(say("elsewhere"))
    else:
        sign, word, kind = fit(planned)
        mark = f'{size(planned.needed)} <span class="fit" role="img" aria-label="{escape(word)}">{sign}</span>'
        title = say(
            "{needed} must be free, {free} of {device} available; planned for a context of {context} tokens",
            needed=size(planned.needed),
            free=size(max(0, planned.budget.free)),
            device=planned.budget.device,
            context=f"{planned.context:,}",
        )
    if found.on_paper:
        mark += f" <small>{escape(say('on paper'))}</small>"
        title += f". {found.refused}"
    return (
        f'<li class="candidate {kind}" data-variant="{escape(found.spelling)}" title="{escape(title)}">'
        f"<span><b>{escape(name)}</b> · {mark}</span>"
        f'<button type="button" data-press="{escape(found.spelling)}" aria-label="{remove}" title="{remove}">×</button>'
        "</li>"
    )


def plan_sentences(candidates: Sequence[Candidate], hardware: Hardware | None) -> str:
    """Which run together, which are on paper only, and why others cannot be planned."""
    named = [(name, found.plan) for name, found in zip(names(candidates), candidates, strict=True) if found.plan]
    local = [(name, planned) for name, planned in named if planned.is_local]
    said = [together([name for name, _ in local], [planned.to_dict() for _, planned in local])] if local else []
    if said and hardware is not None:
        said.insert(0, say("Planned for {device}:", device=hardware.title))
    paper = [name for name, found in zip(names(candidates), candidates, strict=True) if found.on_paper]
    if paper and hardware is not None:
        said.append(say("Planned on paper, does not run on this machine: {names}.", names=join(paper)))
    drawn = f'<p class="quiet">{escape(" ".join(said))}</p>' if said else ""
    return drawn + "".join(render.error(found.unplanned) for found in candidates if found.unplanned)


def not_run(candidates: Sequence[Candidate]) -> str:
    """What a run leaves out, each with its plan or the reason."""
    lines = ""
    for found, name in zip(candidates, names(candidates), strict=True):
        if found.refused is None:
            continue
        if found.plan is None or not found.plan.is_local or not found.plan.fits:
            lines += render.error(found.refused)
            continue
        planned: Mapping[str, Any] = found.plan.to_dict()
        lines += render.said(
            say(
                "{name} was not run: it does not run on this machine. Planned for {device}: {needed} must be free, "
                "{free} available, {fit}.",
                name=name,
                device=found.plan.budget.device,
                needed=size(planned["needed"]),
                free=size(max(0, planned["limit"])),
                fit=fit(found.plan)[1],
            )
        )
    return lines
