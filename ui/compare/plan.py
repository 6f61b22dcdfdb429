"""What the listed variants will take of memory, and which run together, as a sentence. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from models.domain.units import size

from ..shared.language import say


def together(names: Sequence[str], plans: Sequence[Mapping[str, Any]]) -> str:
    """Which run together and which one after another, as a sentence. Plans are what LoadPlan.to_dict gives."""
    if not plans:
        return ""
    free = max(0, plans[0]["limit"])
    named = list(zip(names, plans, strict=True))
    too_large = [name for name, plan in named if plan["needed"] > free]
    groups, all_bytes = _groups([(name, plan) for name, plan in named if plan["needed"] <= free], free)
    total, room, count = size(all_bytes), size(free), sum(map(len, groups))
    said = []
    if count == 1:
        said.append(say("{name} fits: {total} of {free} available.", name=groups[0][0], total=total, free=room))
    elif len(groups) == 1 and too_large:
        said.append(
            say(
                "{count} of {all} fit together: {total} of {free} available.",
                count=count,
                all=len(named),
                total=total,
                free=room,
            )
        )
    elif len(groups) == 1:
        said.append(say("All {count} fit together: {total} of {free} available.", count=count, total=total, free=room))
    elif groups:
        runs = [say("{group} together", group=join(group)) if len(group) > 1 else group[0] for group in groups]
        said.append(
            say(
                "Loaded in turn: {runs}. All at once would take {total}, and {free} is available.",
                runs=say(", then ").join(runs),
                total=total,
                free=room,
            )
        )
    if len(too_large) == 1:
        said.append(say("{name} does not fit: {free} is available.", name=too_large[0], free=room))
    elif too_large:
        said.append(say("{names} do not fit: {free} is available.", names=join(too_large), free=room))
    return " ".join(said)


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


def join(names: Sequence[str]) -> str:
    """Names in a sentence."""
    if len(names) < 2:
        return "".join(names)
    return say("{names} and {last}", names=say(", ").join(names[:-1]), last=names[-1])
