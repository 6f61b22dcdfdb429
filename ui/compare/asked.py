"""From what the setup shows to a comparison that can begin, or the reason why it cannot."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from models.domain.errors import BadComparisonRequest, NoReference
from models.domain.messages import SEED_MAX, Sampling
from models.domain.request import REFERENCE_TEXT, BasePrompt, ChatRequest, CompareRequest, read_prompts
from models.domain.results.comparison import MOST_COLUMNS, Comparison
from models.domain.results.contenders import acts_as, check_variants
from models.domain.thinking import AS_IT_IS, Thinking
from models.domain.variant import Variant
from models.studies.compare import RUNS

from . import state as compare_state
from .candidates import Candidate

if TYPE_CHECKING:
    from models.runtime import Runtime

FIRST = ""  # as the reference: the first of the list, whichever that is
RIVALS = 5  # of each token, in the token view


@dataclass(frozen=True)
class SetupValues:
    """What the setup shows beside its list."""

    prompt: str | None
    system: str | None = ""
    parts: BasePrompt = field(default_factory=BasePrompt)
    reference: str | None = FIRST
    greedy: bool = True
    one_pass: bool = False
    tokens: bool = False
    quality: bool = True
    text: str | None = REFERENCE_TEXT
    several: bool = False


@dataclass(frozen=True)
class Prepared:
    """A comparison that can begin; `left_out` are the candidates of the list that are not in it.

    `follows_other` says that the list names others than the conversations that go on.
    """

    request: CompareRequest
    left_out: tuple[Candidate, ...] = ()
    follows_other: bool = False


def prepare(
    runtime: Runtime,
    listed: Sequence[Candidate],
    shown: SetupValues,
    sampling: Sampling,
    earlier: Comparison | None = None,
    thinking: Thinking = AS_IT_IS,
) -> Prepared:
    """What the list, the setup and the sampling controls ask for; raises PaddockError.

    Candidates that do not run on this machine are left out. After an `earlier` comparison, its variants are asked the
    next question, each in its own conversation.
    """
    if earlier is None:
        variants = _running(listed)
    else:
        variants = check_variants([column.variant for column in earlier.columns], MOST_COLUMNS, least=1).variants
    prompt, text = shown.prompt or "", shown.text or ""
    against = _reference(shown.reference, variants, earlier)
    if earlier and earlier.independent:
        raise BadComparisonRequest(reason="several prompts were asked for themselves, which is no conversation")
    if shown.quality and not text.strip():
        raise BadComparisonRequest(reason="the text that quality is measured on is empty")
    prompts = read_prompts(prompt) if shown.several and not earlier else (prompt,)
    if len(prompts) > 1 and shown.one_pass:
        raise BadComparisonRequest(reason="one pass takes one prompt, and there are several")
    request = CompareRequest.of(
        variants,
        prompts,
        shown.system or "",
        sampling=_sampling(sampling, bool(shown.greedy)),
        base_prompt=shown.parts,
        reference=against,
        text=text if shown.quality else "",
        one_pass=bool(shown.one_pass),
        rivals=RIVALS if shown.tokens else 0,
        runs=RUNS if shown.quality else 1,
        thinking=thinking,
    )
    asked = ChatRequest(variants[0], request.histories[0], request.sampling, request.base_prompt, thinking=thinking)
    admitted = runtime.admitted(request)
    admitted.check(asked)
    if earlier is None:
        return Prepared(request, tuple(candidate for candidate in listed if candidate.refused))
    request = replace(request, histories=compare_state.histories(earlier, prompt))
    for messages in request.histories:
        admitted.check(replace(asked, messages=messages))
    now = {acts_as(candidate.variant) for candidate in listed if candidate.variant and not candidate.refused}
    return Prepared(request, follows_other=now != set(map(acts_as, variants)))


def _running(listed: Sequence[Candidate]) -> tuple[Variant, ...]:
    """Those that run on this machine, of a list of two or more; one is enough where others are on paper.

    Raises BadComparisonRequest, or why the first does not run where none does.
    """
    running = tuple(candidate.variant for candidate in listed if candidate.variant and not candidate.refused)
    if running and len(listed) > 1:
        return running
    for candidate in listed:
        if candidate.refused:
            raise candidate.refused
    raise BadComparisonRequest(reason="only one was named, and it takes two" if listed else "none was named")


def _reference(spelling: str | None, variants: Sequence[Variant], earlier: Comparison | None) -> Variant:
    """What the others are compared with, and nothing in its place; a follow-up keeps its own. Raises NoReference."""
    listed = {str(variant): variant for variant in variants}
    if earlier and spelling not in listed:
        return listed.get(earlier.reference, variants[0])
    if spelling and spelling not in listed:
        raise NoReference(variant=spelling)
    return listed[spelling] if spelling else variants[0]


def _sampling(sampling: Sampling, greedy: bool) -> Sampling:
    """Greedy, or as the sidebar says, with one seed for all."""
    if greedy:
        return replace(sampling, temperature=0)
    return sampling if sampling.seed is not None else replace(sampling, seed=random.randint(0, SEED_MAX))
