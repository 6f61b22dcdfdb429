"""One prompt to several variants, one model at a time: answers as they stream, then what each cost and is worth."""

from __future__ import annotations

import importlib.metadata
import tempfile
import threading
import time
from collections.abc import AsyncGenerator, Generator, Hashable, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from datetime import UTC, datetime
from statistics import median
from typing import Any, TypeVar

from ..compute.relay import PAGE_UPDATE_S, coalesced, relayed
from ..domain.engine import Prompt
from ..domain.errors import BadComparisonRequest, NamedTwice, NoReference, PaddockError, PromptTooManyCharacters
from ..domain.memory.model_info import fitting
from ..domain.messages import Delta, Event, FixedLength, Message, Progress, Rendered, Usage
from ..domain.quantization import Mode, rows_stand_alone
from ..domain.request import REFERENCE_TEXT, ChatRequest, CompareRequest
from ..domain.results.comparison import MOST_ALTERNATIVES, MOST_COLUMNS, Compared, Comparison, Step, agreeing_prefix
from ..domain.results.contenders import acts_as, check_variants
from ..domain.results.measured import TIMED_TOKENS, Measured
from ..domain.variant import Variant
from ..runtime import Runtime
from . import quality
from .quality import CONVERTED, LONGEST_TEXT, Reference

T = TypeVar("T")
PACKAGES = ("torch", "transformers", "bitsandbytes", "xllamacpp")
RUNS, LONGEST_TIMING_S = 3, 60.0  # of a speed that is measured; no further run begins after so long
QUESTION = "Explain in a few sentences how a bicycle stays upright."  # where nobody asked another


def all_quantizations(runtime: Runtime, variant: Variant, most: int) -> list[str]:
    """A variant in every mode that fits here, the most exact first; raises what Runtime.card does."""
    plans = runtime.describe(runtime.card(variant), variant.adapters).plans
    return [str(variant.resolved(name)) for name in fitting(plans, most)]


def compare(
    runtime: Runtime, request: CompareRequest, token: str | None = None
) -> Generator[Step | Comparison, None, None]:
    """Steps of all columns, and at last the whole. A column that fails says why, and the others go on.

    Variants of one base follow each other, so that it is loaded once; those that differ by adapters only answer as one
    batch where `one_pass` asks for it. Raises InputError for the request as a whole.
    """
    _check(runtime, request)
    request = replace(request, reference=_reference_in(runtime, request, token))
    columns = [_Running(runtime, request, place, token) for place in range(len(request.variants))]
    seen: dict[Hashable, _Running] = {}
    for column in columns:
        yield column.begin()
        if not column.now.error and seen.setdefault(acts_as(column.resolved), column) is not column:
            yield column.fail(NamedTwice(variant=f"{column.resolved} (as {column.variant})"))
    held_against: Reference | None = None
    with tempfile.TemporaryDirectory(prefix="paddock-scores-") as folder:
        for group in _groups(columns, request.reference):
            yield from _answers(group, request.one_pass)
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
                yield column.part_from(reference.now.answer)
    yield Comparison(
        questions=tuple(m.content for m in request.histories[0] if m.role == "user"),
        columns=tuple(column.now for column in columns),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        system=next((m.content for m in request.histories[0] if m.role == "system"), ""),
        sampling=request.sampling,
        reference=str(request.reference or ""),
        text=request.text,
        versions={name: _version(name) for name in PACKAGES if _version(name)},
        machine=_machine(runtime),
    )


def comparing(
    runtime: Runtime, request: CompareRequest, stop: threading.Event | None = None, token: str | None = None
) -> AsyncGenerator[Step | Comparison, None]:
    """The same for an event loop, with about ten deltas a second and column; setting `stop` ends it at once."""
    return relayed(lambda: coalesced(compare(runtime, request, token)), stop)


def _remember_quality(runtime: Runtime, request: CompareRequest, column: _Running) -> None:
    """Keep a perplexity that says how good a quantization is, for whoever picks one next."""
    variant, perplexity = column.resolved, column.now.known.perplexity
    if perplexity and request.text == REFERENCE_TEXT and not variant.adapters and variant.model in runtime.catalog:
        runtime.perplexities.setdefault(variant.model, {})[variant.quantization] = perplexity


def _groups(columns: Sequence[_Running], reference: Variant | None) -> list[list[_Running]]:
    """Columns that share a model in memory, the reference's first."""
    groups: dict[str, list[_Running]] = {}
    for column in columns:
        if not column.now.error:
            groups.setdefault(column.base, []).append(column)
    for group in groups.values():
        group.sort(key=lambda column: column.variant != reference)
    return sorted(groups.values(), key=lambda group: group[0].variant != reference)


def _answers(group: Sequence[_Running], one_pass: bool) -> Generator[Step, None, None]:
    same_prompt = len({column.messages for column in group}) == 1
    together = one_pass and len(group) > 1 and same_prompt and rows_stand_alone(group[0].mode)
    if together:
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
            yield from column.answer()
        except PaddockError as error:
            yield column.fail(error)


def _answer_together(group: Sequence[_Running]) -> Generator[Step, None, None]:
    first = group[0]
    stream = first.runtime.answer_rows(first.chat(), [column.resolved for column in group], first.token)
    with closing(stream) as events:
        for event in events:
            for column in [group[event.row]] if isinstance(event, Delta) else group:
                yield column.see(event)
    for column in group:
        yield column.end(_batch_note(group, column))


def _batch_note(group: Sequence[_Running], column: _Running) -> str:
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
    for variant, messages in zip(request.variants, request.histories, strict=True):
        runtime.check(ChatRequest(variant, messages, request.sampling, request.base_prompt))


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


class _Running:
    """One variant on its way to a Compared, which holds what is known so far."""

    def __init__(self, runtime: Runtime, request: CompareRequest, place: int, token: str | None) -> None:
        self.runtime, self.token, self._request, self._place = runtime, token, request, place
        self.variant, self.messages = request.variants[place], request.histories[place]
        self.base = ""
        self.mode: Mode
        self.now = Compared(str(self.variant))

    def begin(self) -> Step:
        """Resolve the variant and plan it."""
        try:
            card = self.runtime.card(self.variant, self.token)
            resolved, mode = self.runtime.resolve(self.variant, card)
            planned = self.runtime.plan(self.variant, token=self.token)
            self.base, self.mode = str(resolved.without_adapters), mode
            weights = planned.weights + sum(part.bytes for part in planned.parts if part.key == "adapters")
            figures = Measured(str(resolved), self.variant == self._request.reference, weights or None)
            self._know(
                resolved=str(resolved),
                kind=card.kind,
                figures=figures,
                needed=planned.needed or None,
                predicted_peak=planned.peak or None,
                tokenizer=card.family,
            )
            return Step(self._place, self.now)
        except PaddockError as error:
            return self.fail(error)

    def chat(self) -> ChatRequest:
        return ChatRequest(self.variant, self.messages, self._request.sampling, self._request.base_prompt, reuse=False)

    def answer(self) -> Generator[Step, None, None]:
        with closing(self.runtime.answer(self.chat(), self.token)) as events:
            for event in events:
                yield self.see(event)
        yield self.end()

    def see(self, event: Event) -> Step:
        """Take an event of the answer into the column."""
        match event:
            case Rendered():
                self._know(prompt=event.prompt)
            case Delta():
                self._know(answer=self.now.answer + event.text, usage=event.usage)
        return Step(self._place, event)

    def end(self, note: str = "") -> Step:
        """The column once its answer is whole; the load time is that of the model, whenever it was loaded."""
        held = next((line for line in self.runtime.held() if line.name == self.base), None)
        figures = self.now.figures
        if held is not None:
            own = {choice.name for choice in self.variant.adapters}
            beside = sum(adapter.bytes for adapter in held.attached if adapter.name in own)
            peak = quality.peak_alone(self.runtime, self.now.usage, self.base) if self.now.usage else None
            figures = replace(figures, measured_bytes=held.bytes + beside, load_s=held.load_s, peak_bytes=peak)
        self._know(turns=(*self.messages, Message("assistant", self.now.answer)), figures=figures)
        self._note(note)
        if self.now.usage is not None:
            self._note(CONVERTED if self.now.usage.origin == "converted" else "")
            self._note(" ".join(self.now.usage.notes))
        return Step(self._place, self.now)

    @property
    def is_alone(self) -> bool:
        """Whether it was answered by itself: the speed of a row of a batch is never put beside that of an answer."""
        return self.now.usage is not None and self.now.usage.batch == 1

    def time(self) -> Generator[Step, None, None]:
        """Measure the speed in several runs that are long enough; the answer is one of them if it is."""
        own, runs, begun = self.now.usage, self._request.runs, time.monotonic()
        assert own is not None
        usages = [own] if own.new_tokens >= TIMED_TOKENS else []
        try:
            while len(usages) < runs and time.monotonic() - begun < LONGEST_TIMING_S:
                done = len(usages) * TIMED_TOKENS
                usages.append((yield from self._timed_run(done, runs * TIMED_TOKENS)))
        except PaddockError as error:
            self._note(str(error))
        if usages:
            speeds = [usage.decode_tokens_per_s for usage in usages]
            timed = replace(
                self.now.figures,
                ttft_s=median(usage.ttft_s for usage in usages),
                decode_tokens_per_s=median(speeds) or None,
                decode_low=min(speeds),
                decode_high=max(speeds),
                timed_tokens=min(usage.new_tokens for usage in usages),
                timed_runs=len(usages),
            )
            self._know(figures=timed)
        yield Step(self._place, self.now)

    def _timed_run(self, done: int, total: int) -> Generator[Step, None, Usage]:
        """One answer of `TIMED_TOKENS` tokens that nobody sees, and what it cost."""
        request, longest = self.chat(), min(TIMED_TOKENS, self.runtime.settings.max_new_tokens)
        sampling = FixedLength(**vars(request.sampling) | {"max_new_tokens": longest, "stop": ()})
        usage, told = Usage(), 0.0
        with closing(self.runtime.answer(replace(request, sampling=sampling), self.token)) as events:
            for event in events:
                if isinstance(event, Delta):
                    usage = event.usage
                if time.monotonic() - told > PAGE_UPDATE_S:
                    told = time.monotonic()
                    yield Step(self._place, Progress("time", done + usage.new_tokens, total, "tokens"))
        return usage

    def look_at_tokens(self) -> Generator[Step, None, None]:
        """Record the probability of each token of the answer, and what else was likely."""
        assert self.now.usage is not None
        count, rivals = self.now.usage.prompt_tokens, self._request.rivals
        try:
            steps = quality.tokens(self.runtime, self.resolved, self._whole(), count, rivals, self.token)
            self._know(tokens=(yield from self._through(steps)))
        except PaddockError as error:
            self._note(str(error))
        yield Step(self._place, self.now)

    def _whole(self) -> Prompt:
        """The prompt and the answer."""
        return Prompt(self.now.prompt + self.now.answer, rendered=self.now.kind == "instruct")

    def score(self, held_against: Reference | None, folder: str) -> Generator[Step, None, Reference | None]:
        """Score the text; returns what the next columns are compared with."""
        runtime, resolved, text, token = self.runtime, self.resolved, self._request.text, self.token
        try:
            if self.variant == self._request.reference and self.now.usage is not None:
                count = self.now.usage.prompt_tokens
                first = quality.first(runtime, resolved, text, self._whole(), count, folder, token)
                found, held_against = yield from self._through(first)
            elif held_against is not None and self._comparable():
                found = yield from self._through(quality.against(runtime, resolved, text, held_against, token))
            else:
                found = yield from self._through(quality.alone(runtime, resolved, text, token))
            self._know(figures=replace(self.now.figures, **found.figures))
        except PaddockError as error:
            self._note(str(error))
        yield Step(self._place, self.now)
        return held_against

    def part_from(self, answer: str) -> Step:
        """Say from where on the answer is another than the reference's."""
        if self.now.answer != answer:
            self._know(parts_at_character=agreeing_prefix(answer, self.now.answer))
        return Step(self._place, self.now)

    def fail(self, error: PaddockError) -> Step:
        """The column with the reason why it has no answer, or no whole one."""
        self._know(error=str(error))
        return Step(self._place, self.now)

    @property
    def resolved(self) -> Variant:
        return Variant.parse(self.now.resolved)

    def _comparable(self) -> bool:
        """Only models that share a tokenizer have distributions over the same tokens."""
        reference = self._request.reference
        assert reference is not None
        return self.runtime.card(self.variant, self.token).family == self.runtime.card(reference, self.token).family

    def _through(self, steps: Generator[Progress, None, T]) -> Generator[Step, None, T]:
        """What steps of scoring return, their progress shown at this column."""
        while True:
            try:
                yield Step(self._place, next(steps))
            except StopIteration as end:
                return end.value

    def _note(self, text: str) -> None:
        note = "; ".join(filter(None, (self.now.figures.note, text)))
        self._know(figures=replace(self.now.figures, note=note))

    def _know(self, **facts: Any) -> None:
        self.now = replace(self.now, **facts)
