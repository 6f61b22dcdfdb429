"""What the listed variants will take of memory, and which run together. Pure; everything from outside is escaped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from models.domain.units import size

from .charts import Bar, bars
from .render import short_names

PLANNED = "what it has to have at any moment of loading and answering, without pages of files, which can be read again"


def plan_lines(plans: Sequence[Mapping[str, Any]], free_bytes: int) -> str:
    """What each variant will take of the memory that is available, and which run together.

    Plans are what LoadPlan.to_dict gives.
    """
    if not plans:
        return ""
    free = max(0, free_bytes)
    names = short_names([plan["variant"] for plan in plans])
    lines = [
        Bar(
            name,
            plan["needed"],
            f"{size(plan['needed'])}{'' if plan['needed'] <= free else ', does not fit'}",
            f"needs {size(plan['needed'])}, of it weights {size(plan['weights'])}; the mark is at {size(free)}, which "
            "is available",
            free,
        )
        for name, plan in zip(names, plans, strict=True)
    ]
    drawn = bars(lines, "Memory by the plan; the mark is what is available", PLANNED)
    return f'<div class="compare-plan"><p>{escape(_together(names, plans, free))}</p>{drawn}</div>'


def _groups(named: Sequence[tuple[str, Mapping[str, Any]]], free: int) -> tuple[list[list[str]], int]:
    """Which run together, as many at once as `free` bytes hold, and the bytes of all at once.

    Variants of one base share it in memory; where their adapters do not fit together, they have it in turn.
    """
    of_base: dict[str, list[tuple[str, Mapping[str, Any]]]] = {}
    for name, plan in named:
        of_base.setdefault(plan["variant"].partition("+")[0], []).append((name, plan))
    units: list[tuple[list[str], int]] = []
    total = 0
    for members in of_base.values():
        largest, *others = sorted((plan for _, plan in members), key=lambda plan: -plan["needed"])
        shared = largest["needed"] + sum(plan["bytes"].get("adapters", 0) for plan in others)
        one_by_one = [([name], plan["needed"]) for name, plan in members]
        units += [([name for name, _ in members], shared)] if shared <= free else one_by_one
        total += shared
    groups: list[list[str]] = []
    left = 0
    for unit, needed in units:
        if groups and needed <= left:
            groups[-1] += unit
        else:
            groups.append([*unit])
            left = free
        left -= needed
    return groups, total


def _together(names: Sequence[str], plans: Sequence[Mapping[str, Any]], free: int) -> str:
    """Which run together and which one after another, as a sentence."""
    named = list(zip(names, plans, strict=True))
    too_large = [name for name, plan in named if plan["needed"] > free]
    groups, all_bytes = _groups([(name, plan) for name, plan in named if plan["needed"] <= free], free)
    runs = [_and(group) + (" together" if len(group) > 1 else "") for group in groups]
    total, count = size(all_bytes), sum(map(len, groups))
    said = []
    if count == 1:
        said.append(f"{runs[0]} fits: {total} of {size(free)} available.")
    elif len(groups) == 1:
        who = _and(groups[0]) if too_large else {2: "Both"}.get(count, f"All {count}")
        said.append(f"{who} run together: {total} of {size(free)} available.")
    elif groups:
        said.append(f"They run one after another: {', then '.join(runs)}. All at once would take {total}, ")
        said[-1] += f"and {size(free)} is available."
    if too_large:
        verb = "does" if len(too_large) == 1 else "do"
        said.append(f"{_and(too_large)} {verb} not fit: {size(free)} is available.")
    return " ".join(said)


def _and(names: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
