"""One prompt to several variants, one model at a time: answers as they stream, then what each cost and is worth."""

from __future__ import annotations

import importlib.metadata
import tempfile
import threading
from collections.abc import AsyncGenerator, Generator, Hashable, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from ..compute.relay import coalesced, relayed
from ..domain.errors import BadComparisonRequest, NamedTwice, NoReference, PaddockError, PromptTooManyCharacters
from ..domain.memory.model_info import fitting
from ..domain.messages import Delta, Message, Thought
from ..domain.request import MOST_PROMPTS, REFERENCE_TEXT, ChatRequest, CompareRequest
from ..domain.results.comparison import MOST_ALTERNATIVES, MOST_COLUMNS, Comparison, Step
from ..domain.results.contenders import acts_as, check_variants
from ..domain.variant import Variant
from ..runtime import Runtime
from .calls import as_rows, calls, groups
from .column import Running, opening
from .quality import LONGEST_TEXT, Reference

PACKAGES = ("torch", "transformers", "bitsandbytes", "xllamacpp")
RUNS = 3  # of a speed that is measured
QUESTION = "Explain in a few sentences how a bicycle stays upright."  # where nobody asked another


def all_quantizations(runtime: Runtime, variant: Variant) -> list[str]:
    """A variant in every mode that fits here, the most exact first; raises what Runtime.card does."""
    plans = runtime.describe(runtime.card(variant), variant.adapters).plans
    return [str(variant.resolved(name)) for name in fitting(plans, MOST_COLUMNS)]


def compare(
    runtime: Runtime, request: CompareRequest, token: str | None = None
) -> Generator[Step | Comparison, None, None]:
    """Steps of all columns, and at last the whole. A column that fails says why, and the others go on.

    Variants of one base follow each other, so that it is loaded once; those that differ by adapters only answer as one
    batch where `one_pass` asks for it. Raises InputError for the request as a whole.
    """
    runtime = runtime.admitted(request)
    _check(runtime, request)
    request = replace(request, reference=_reference_in(runtime, request, token))
    columns = [Running(runtime, request, place, token) for place in range(len(request.variants))]
    seen: dict[Hashable, Running] = {}
    for column in columns:
        yield column.begin()
        if not column.now.error and seen.setdefault(acts_as(column.resolved), column) is not column:
            yield column.fail(NamedTwice(variant=f"{column.resolved} (as {column.variant})"))
    held_against: Reference | None = None
    with tempfile.TemporaryDirectory(prefix="paddock-scores-") as folder:
        for call in calls(runtime, groups(columns, request.reference), request.one_pass):
            for column in call.columns if call.works else ():
                yield from column.ready()
            with runtime.one_call(call.works) as within:
                for group in call.groups:
                    for column in group:
                        column.runtime = within
                    yield from _answers([column for column in group if not column.now.error], request.one_pass)
                    for column in group:
                        if request.runs > 1 and column.is_alone and not column.now.error:
                            yield from column.time()
                        if request.rivals and column.now.answer and not column.now.error:
                            yield from column.look_at_tokens()
                        if request.text and not column.now.error:
                            held_against = yield from column.score(held_against, folder)
                            _remember_quality(runtime, request, column)
    reference = next((column for column in columns if column.variant == request.reference), None)
    if reference is not None and reference.now.answer and not reference.now.error:
        for column in columns:
            if column is not reference and not column.now.error:
                yield column.part_from(reference.now)
    yield Comparison(
        questions=(*(m.content for m in request.histories[0] if m.role == "user"), *request.further),
        columns=tuple(column.now for column in columns),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        system=next((m.content for m in request.histories[0] if m.role == "system"), ""),
        sampling=request.sampling,
        thinking=request.thinking,
        reference=str(request.reference or ""),
        text=request.text,
        versions={name: _version(name) for name in PACKAGES if _version(name)},
        machine=_machine(runtime),
        independent=bool(request.further),
    )


def comparing(
    runtime: Runtime, request: CompareRequest, stop: threading.Event | None = None, token: str | None = None
) -> AsyncGenerator[Step | Comparison, None]:
    """The same for an event loop, with about ten deltas a second and column; setting `stop` ends it at once."""
    return relayed(lambda: coalesced(compare(runtime, request, token)), stop)


def _remember_quality(runtime: Runtime, request: CompareRequest, column: Running) -> None:
    """Keep a perplexity that says how good a quantization is, for whoever picks one next."""
    variant, perplexity = column.resolved, column.now.known.perplexity
    if perplexity and request.text == REFERENCE_TEXT and not variant.adapters and variant.model in runtime.catalog:
        runtime.perplexities.setdefault(variant.model, {})[variant.quantization] = perplexity


def _answers(group: Sequence[Running], one_pass: bool) -> Generator[Step, None, None]:
    if one_pass and as_rows(group):
        try:
            yield from _answer_together(group)
            return
        except PaddockError as error:  # one of them, or all: each says so for itself
            if any(column.now.answer for column in group):
                for column in group:
                    ended = column.now.usage is not None and column.now.usage.finish
                    yield column.end(_batch_note(group, column)) if ended else column.fail(error)
                return
    for column in group:
        try:
            yield from column.answers()
        except PaddockError as error:
            yield column.fail(error)


def _answer_together(group: Sequence[Running]) -> Generator[Step, None, None]:
    first = group[0]
    stream = first.runtime.answer_rows(first.chat(), [column.resolved for column in group], first.token)
    with closing(stream) as events:
        for event in events:
            for column in [group[event.row]] if isinstance(event, Delta | Thought) else group:
                yield column.see(event)
    for column in group:
        yield column.end(_batch_note(group, column))


def _batch_note(group: Sequence[Running], column: Running) -> str:
    usage = column.now.usage
    speed = f" ({usage.decode_tokens_per_s:.1f} tok/s)" if usage and usage.decode_tokens_per_s else ""
    return (
        f"answered in one batch with {len(group) - 1} more: its speed{speed} is that of a row of {len(group)}, and two "
        "tokens that are nearly as likely may change places against an answer alone"
    )


def _check(runtime: Runtime, request: CompareRequest) -> None:
    """Refuse what no model needs to see; raises InputError, VariantError."""
    check_variants([str(variant) for variant in request.variants], MOST_COLUMNS, least=1)
    if len(request.histories) != len(request.variants):
        raise BadComparisonRequest(reason="it takes one conversation a variant")
    if not 0 <= request.rivals <= MOST_ALTERNATIVES:
        raise BadComparisonRequest(reason=f"{request.rivals} alternatives of a token, at most {MOST_ALTERNATIVES}")
    if len(request.text) > LONGEST_TEXT:
        raise PromptTooManyCharacters(characters=len(request.text), limit=LONGEST_TEXT)
    if len(request.further) >= MOST_PROMPTS:
        raise BadComparisonRequest(
            reason=f"there are {len(request.further) + 1} prompts, and at most {MOST_PROMPTS} can be asked"
        )
    if request.further and request.one_pass:
        raise BadComparisonRequest(reason="one pass takes one prompt, and there are several")
    if request.further and any(turn.role == "assistant" for turn in request.histories[0]):
        raise BadComparisonRequest(reason="several prompts have no earlier turns")
    for variant, messages in zip(request.variants, request.histories, strict=True):
        runtime.check(ChatRequest(variant, messages, request.sampling, request.base_prompt, thinking=request.thinking))
    for prompt in request.further:
        messages = (*opening(request.histories[0]), Message("user", prompt))
        runtime.check(ChatRequest(request.variants[0], messages, request.sampling, request.base_prompt))


def _reference_in(runtime: Runtime, request: CompareRequest, token: str | None) -> Variant | None:
    """The first of the variants that is what the reference is, however each is spelled; raises NoReference."""
    if request.reference is None:
        return None

    def known(variant: Variant) -> Hashable:
        with suppress(PaddockError):  # its own column says why
            return acts_as(runtime.resolve(variant, runtime.card(variant, token))[0])
        return acts_as(variant)

    wanted = known(request.reference)
    for variant in request.variants:
        if known(variant) == wanted:
            return variant
    raise NoReference(variant=str(request.reference))


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _machine(runtime: Runtime) -> dict[str, Any]:
    budget = runtime.planner.budget()
    return {
        "accelerator": runtime.machine.accelerator,
        "device": budget.device,
        "memory_bytes": budget.total,
        "threads": runtime.settings.compute_threads,
    }
