"""One variant on its way through a comparison: planned, answered, timed, looked at token by token, scored."""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import replace
from statistics import median
from typing import Any, TypeVar

from ..compute.estimate import Work
from ..compute.relay import PAGE_UPDATE_S
from ..domain.engine import Prompt
from ..domain.errors import PaddockError
from ..domain.messages import Delta, Event, FixedLength, Message, Progress, Rendered, Thought, Usage
from ..domain.quantization import Mode
from ..domain.remedy import remedy
from ..domain.request import ChatRequest, CompareRequest
from ..domain.results.comparison import Asked, Compared, Step, parted
from ..domain.results.measured import TIMED_TOKENS, Measured
from ..domain.variant import Variant
from ..runtime import Runtime
from . import quality
from .quality import CONVERTED, Reference

T = TypeVar("T")
CHARACTERS_A_TOKEN = 4  # of English, about
LONGEST_TIMING_S = 60.0  # no further run of a speed begins after so long


class Running:
    """One variant on its way to a Compared, which holds what is known so far."""

    def __init__(self, runtime: Runtime, request: CompareRequest, place: int, token: str | None) -> None:
        self.runtime, self.token, self._request, self._place = runtime, token, request, place
        self.variant, self.messages = request.variants[place], request.histories[place]
        self.base = ""
        self.mode: Mode
        self.now = Compared(str(self.variant))
        self._asked = self.messages  # of all prompts so far, with the answers to those before
        self._usages: list[Usage] = []
        self._thought = ""  # before the answer, with its marks

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

    def ready(self) -> Generator[Step, None, None]:
        """Have all files here before a GPU is lent; what cannot be had, the column says."""
        try:
            yield from self._through(self.runtime.ready(self.variant, self.token))
        except PaddockError as error:
            yield self.fail(error)

    def work(self, rows: int = 1) -> list[Work]:
        """Its share of a call to a GPU, nothing where none is lent; with more `rows`, that of all of them."""
        asked, prompts = self._request, 1 + len(self._request.further)
        tokens = prompts * (asked.sampling.max_new_tokens + self.runtime.thought_tokens(self.chat(), self.token))
        characters = prompts * sum(len(message.content) for message in self.messages)
        characters += 2 * len(asked.text) + (CHARACTERS_A_TOKEN * tokens if asked.rivals or asked.text else 0)
        if asked.runs > 1 and rows == 1:
            tokens += asked.runs * TIMED_TOKENS
        work = self.runtime.work(self.variant, self.token, tokens=tokens, characters=rows * characters, rows=rows)
        return [work] if work else []

    def chat(self) -> ChatRequest:
        asked = self._request
        return ChatRequest(
            self.variant, self.messages, asked.sampling, asked.base_prompt, reuse=False, thinking=asked.thinking
        )

    def answers(self) -> Generator[Step, None, None]:
        """Answer all prompts; one of several that fails is noted, and raised where none was answered."""
        failures: list[PaddockError] = []
        for number, prompt in enumerate([None, *self._request.further], 1):
            if prompt is not None:
                yield self._ask(prompt)
            try:
                yield from self.answer()
                if self._request.rivals and self.now.answer and number <= len(self._request.further):
                    yield from self.look_at_tokens()
            except PaddockError as error:
                if not self._request.further:
                    raise
                failures.append(error)
                self._note(f"prompt {number}: {error}")
                self._know(turns=(*self._asked, Message("assistant", self.now.answer)))
        if len(failures) > len(self._request.further):
            raise failures[0]
        if self._request.further:
            decoded = [usage for usage in self._usages if usage.decode_tokens_per_s]
            self._take_speeds([usage for usage in decoded if usage.new_tokens >= TIMED_TOKENS] or decoded)
            yield Step(self._place, self.now)

    def _ask(self, prompt: str) -> Step:
        """Another prompt for itself: what was asked before is kept, and the model is not given it."""
        question = Message("user", prompt)
        self.messages, self._asked = (*opening(self.messages), question), (*self.now.turns, question)
        earlier = (*self.now.earlier, Asked(self.now.prompt, self.now.tokens, self.now.thought))
        self._know(turns=self._asked, answer="", usage=None, prompt="", tokens=(), thought="", earlier=earlier)
        return Step(self._place, self.now)

    def answer(self) -> Generator[Step, None, None]:
        """Answer the prompt that is asked now."""
        with closing(self.runtime.answer(self.chat(), self.token)) as events:
            for event in events:
                yield self.see(event)
        yield self.end()

    def see(self, event: Event) -> Step:
        """Take an event of the answer into the column."""
        match event:
            case Rendered():
                self._know(prompt=event.prompt)
                self._thought = ""
            case Thought():
                self._thought += event.written
                self._know(usage=event.usage, thought=self.now.thought + event.text)
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
        self._know(turns=(*self._asked, Message("assistant", self.now.answer)), figures=figures)
        self._note(note)
        if self.now.usage is not None:
            self._usages.append(self.now.usage)
            self._note(CONVERTED if self.now.usage.origin == "converted" else "")
            self._note(" ".join(self.now.usage.notes))
        return Step(self._place, self.now)

    @property
    def is_alone(self) -> bool:
        """Whether it was answered alone: the speed of a row of a batch is never put beside that of an answer."""
        return self.now.usage is not None and self.now.usage.batch == 1

    def time(self) -> Generator[Step, None, None]:
        """Measure the speed in several runs that are long enough; an answer is one of them if it is."""
        runs, begun = self._request.runs, time.monotonic()
        usages = [usage for usage in self._usages if usage.new_tokens >= TIMED_TOKENS]
        try:
            while len(usages) < runs and time.monotonic() - begun < LONGEST_TIMING_S:
                done = len(usages) * TIMED_TOKENS
                usages.append((yield from self._timed_run(done, runs * TIMED_TOKENS)))
        except PaddockError as error:
            self._note(str(error))
        self._take_speeds(usages)
        yield Step(self._place, self.now)

    def _take_speeds(self, usages: Sequence[Usage]) -> None:
        """The medians of several runs, and the range of the decode speed."""
        if not usages:
            return
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
        count, rivals = _begins(self.now.usage), self._request.rivals
        try:
            steps = quality.tokens(self.runtime, self.resolved, self._whole(), count, rivals, self.token)
            self._know(tokens=(yield from self._through(steps)))
        except PaddockError as error:
            self._note(str(error))
        yield Step(self._place, self.now)

    def _whole(self) -> Prompt:
        """The prompt and the answer, with the thought between them."""
        return Prompt(self.now.prompt + self._thought + self.now.answer, rendered=self.now.kind == "instruct")

    def score(self, held_against: Reference | None, folder: str) -> Generator[Step, None, Reference | None]:
        """Score the text; returns what the next columns are compared with."""
        runtime, resolved, text, token = self.runtime, self.resolved, self._request.text, self.token
        try:
            if self.variant == self._request.reference and self.now.usage is not None:
                count = _begins(self.now.usage)
                first = quality.first(runtime, resolved, text, self._whole(), count, folder, token)
                found, held_against = yield from self._through(first)
            elif held_against is not None and self._comparable():
                found = yield from self._through(quality.against(runtime, resolved, text, held_against, token))
            else:
                found = yield from self._through(quality.alone(runtime, resolved, text, token))
            self._know(figures=replace(self.now.figures, **found))
        except PaddockError as error:
            self._note(str(error))
        yield Step(self._place, self.now)
        return held_against

    def part_from(self, reference: Compared) -> Step:
        """Say from where on the answer is another than the reference's."""
        self.now = parted(self.now, reference, bool(self._request.further))
        return Step(self._place, self.now)

    def fail(self, error: PaddockError) -> Step:
        """The column with the reason why it has no answer, or no whole one."""
        self._know(error=str(error), remedy=remedy(error))
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
        if text in self.now.figures.note:  # as after each of several prompts
            return
        note = "; ".join(filter(None, (self.now.figures.note, text)))
        self._know(figures=replace(self.now.figures, note=note))

    def _know(self, **facts: Any) -> None:
        self.now = replace(self.now, **facts)


def _begins(usage: Usage) -> int:
    """The tokens before an answer, of which those of a thought are no part."""
    return usage.prompt_tokens + usage.thought_tokens


def opening(messages: Sequence[Message]) -> tuple[Message, ...]:
    """The system prompt of a conversation, where it has one."""
    return tuple(message for message in messages if message.role == "system")
