"""Into how few GPU calls a press goes on ZeroGPU, and what they will cost, before it is made."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..compute.estimate import SPEEDS, Work
from ..compute.quota import charged_s, gpu_size
from ..domain.gpu_cost import GpuCost
from ..domain.quantization import rows_stand_alone
from ..domain.request import ChatRequest, CompareRequest, Request, texts
from ..domain.variant import Variant
from ..engines.device import on_zero_gpu
from ..runtime import Runtime
from .column import CHARACTERS_A_TOKEN, Running


def answer_cost(runtime: Runtime, request: Request, token: str | None = None) -> GpuCost | None:
    """What an answer to a request costs, by what the last ones took; None where no GPU is lent."""
    return cost(runtime, [answer_works(runtime, request, token)]) if on_zero_gpu() else None


def answer_works(runtime: Runtime, request: Request, token: str | None = None, scored: bool = False) -> list[Work]:
    """The shares of an answer in a GPU call, and of a look at the chances of its tokens; none where no GPU is lent."""
    budget = runtime.thought_tokens(request, token) if isinstance(request, ChatRequest) else 0
    characters, tokens = sum(map(len, texts(request))), request.sampling.max_new_tokens + budget
    parts = [{"tokens": tokens, "characters": characters}]
    if scored:
        parts.append({"characters": characters + CHARACTERS_A_TOKEN * tokens})
    works = [runtime.work(request.variant, token, **part) for part in parts]
    return [work for work in works if work]


def comparison_cost(runtime: Runtime, request: CompareRequest, token: str | None = None) -> GpuCost | None:
    """The same of a comparison, in all of its calls."""
    if not on_zero_gpu():
        return None
    columns = [Running(runtime, request, place, token) for place in range(len(request.variants))]
    for column in columns:
        column.begin()
    planned = calls(runtime, groups(columns, request.reference), request.one_pass)
    return cost(runtime, [call.works for call in planned])


def cost(runtime: Runtime, parts: Iterable[Sequence[Work]]) -> GpuCost:
    """What calls of so much work will be declared with, one after another."""
    most = runtime.settings.gpu_seconds
    needed = [SPEEDS.needed_s(works) for works in parts if works]
    seconds = sum(charged_s(each, most) for each in needed)
    return GpuCost(seconds, len(needed), gpu_size(), any(each > most for each in needed))


def groups(columns: Sequence[Running], reference: Variant | None) -> list[list[Running]]:
    """Columns that share a model in memory, the reference's first."""
    found: dict[str, list[Running]] = {}
    for column in columns:
        if not column.now.error:
            found.setdefault(column.base, []).append(column)
    for group in found.values():
        group.sort(key=lambda column: column.variant != reference)
    return sorted(found.values(), key=lambda group: group[0].variant != reference)


@dataclass(frozen=True)
class Call:
    """Groups of columns that are computed in one GPU call, or none where they have no `works` for it."""

    groups: tuple[Sequence[Running], ...]
    works: tuple[Work, ...]

    @property
    def columns(self) -> list[Running]:
        return [column for group in self.groups for column in group]


def calls(runtime: Runtime, groups: Sequence[Sequence[Running]], one_pass: bool) -> list[Call]:
    """As few calls as their limit of seconds allows; what needs no GPU is computed while none is lent."""
    parts = [Call((group,), tuple(works_of(group, one_pass))) for group in groups]
    made: list[Call] = []
    for part in sorted(parts, key=lambda part: bool(part.works) != bool(parts[0].works)):
        for place, call in enumerate(made):
            works = (*call.works, *part.works)
            if call.works and part.works and not cost(runtime, [works]).cut:
                made[place] = Call((*call.groups, *part.groups), works)
                break
        else:
            made.append(part)
    return made


def works_of(group: Sequence[Running], one_pass: bool) -> list[Work]:
    if one_pass and as_rows(group):
        return group[0].work(len(group))
    return [work for column in group for work in column.work()]


def as_rows(group: Sequence[Running]) -> bool:
    """Whether they can be answered as one batch."""
    same_prompt = len({column.messages for column in group}) == 1
    return len(group) > 1 and same_prompt and rows_stand_alone(group[0].mode)
