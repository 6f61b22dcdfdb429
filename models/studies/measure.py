"""What each mode of a model costs and is worth: memory and speed of an answer, likelihood of a text, one by one."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, replace

from ..compute.relay import relayed
from ..domain.catalog import ModelCard
from ..domain.engine import Prompt
from ..domain.errors import BadModes, NotHeld, PaddockError, PromptTooManyCharacters
from ..domain.memory.plan import LoadPlan
from ..domain.messages import Delta, Message, Progress, Rendered, Sampling, Usage
from ..domain.quantization import modes_of
from ..domain.request import REFERENCE_TEXT, ChatRequest, CompletionRequest, Request
from ..domain.results.measured import Measured
from ..domain.variant import Variant
from ..runtime import Runtime
from . import quality
from .quality import CONVERTED, LONGEST_TEXT, Reference

MOST_MODES = 16
NEW_TOKENS = 64  # of the answer that is timed
QUESTION = "Explain in a few sentences how a bicycle stays upright."
OPENING = "A bicycle stays upright because"


@dataclass(frozen=True)
class _Answer:
    prompt: Prompt
    text: str
    usage: Usage


def measure(
    runtime: Runtime,
    model: str,
    modes: Sequence[str],
    text: str = "",
    reference: str = "",
    new_tokens: int | None = None,
    token: str | None = None,
) -> Generator[Progress | Measured, None, None]:
    """Progress, and one Measured a mode; `reference` is a mode, by default the most exact one of those that fit.

    A mode that fails gets a row that says why. Raises BadModes, PromptTooManyCharacters, SamplingOutOfBounds
    and what Runtime.card raises.
    """
    text = text if text.strip() else REFERENCE_TEXT
    if len(text) > LONGEST_TEXT:
        raise PromptTooManyCharacters(characters=len(text), limit=LONGEST_TEXT)
    longest = min(NEW_TOKENS, runtime.settings.max_new_tokens)
    sampling = Sampling(longest if new_tokens is None else new_tokens, temperature=0)
    card = runtime.card(Variant(model), token)
    names = _ordered(runtime, card, modes, reference)
    with tempfile.TemporaryDirectory(prefix="paddock-scores-") as folder:
        held: Reference | None = None
        before = {line.name for line in runtime.held()}
        for name in names:
            row = _Row(runtime, card, Variant(card.key, name), text, sampling, token)
            try:
                held = yield from row.run(held, folder)
            except PaddockError as error:
                yield replace(row.measured, error=str(error))
            finally:
                for loaded in row.loaded - before:
                    with suppress(NotHeld):
                        runtime.eject(loaded)


def measuring(
    runtime: Runtime,
    model: str,
    modes: Sequence[str],
    text: str,
    reference: str,
    stop: threading.Event | None = None,
    token: str | None = None,
) -> AsyncGenerator[Progress | Measured, None]:
    """The same for an event loop; setting `stop` ends it after the row's current step."""
    return relayed(lambda: measure(runtime, model, modes, text, reference, token=token), stop)


def _ordered(runtime: Runtime, card: ModelCard, modes: Sequence[str], reference: str) -> list[str]:
    """The modes without repeats, each resolved, the reference first."""
    wanted = list(modes) or [name for name, offer in runtime.describe(card).plans.items() if offer.fits]
    if len(wanted) > MOST_MODES:
        raise BadModes(reason=f"{len(wanted)} were named, and at most {MOST_MODES} are measured in one run")
    known = {mode.name: mode for mode in modes_of(card)}
    if unknown := [name for name in (*wanted, reference) if name and name not in ("auto", *known)]:
        raise BadModes(reason=f"there is no “{unknown[0][:40]}”, there are {', '.join(known)}")
    *resolved, reference = [
        runtime.resolve(Variant(card.key, n), card)[1].name if n == "auto" else n for n in (*wanted, reference)
    ]
    names = list(dict.fromkeys(resolved))
    if not reference:
        plain = [name for name in names if known[name].packing == "plain"] or names
        reference = max(plain, key=lambda name: known[name].bits)
    return [reference, *(name for name in names if name != reference)]


class _Row:
    """One mode on its way to a Measured, which holds what is known so far."""

    def __init__(
        self, runtime: Runtime, card: ModelCard, variant: Variant, text: str, sampling: Sampling, token: str | None
    ) -> None:
        self._runtime, self._card, self._variant = runtime, card, variant
        self._text, self._sampling, self._token = text, sampling, token
        self.measured = Measured(str(variant))
        self.loaded: set[str] = set()

    def run(self, reference: Reference | None, folder: str) -> Generator[Progress | Measured, None, Reference]:
        """Measure; returns what the next rows are held against, which is this one where there was none."""
        self._note(reference=reference is None)
        planned: LoadPlan = self._runtime.plan(self._variant, token=self._token)
        self._note(predicted_bytes=planned.weights)
        with suppress(NotHeld):
            self._runtime.eject(str(self._variant))
        in_use = any(line.name == str(self._variant) for line in self._runtime.held())
        answer = yield from self._answer()
        if in_use:  # a load time is that of a load now
            self._note(load_s=None)
        if answer.usage.origin == "converted":
            self._note(note=CONVERTED)
        if reference is None:
            whole = replace(answer.prompt, text=answer.prompt.text + answer.text)
            found, reference = yield from quality.first(
                self._runtime, self._variant, self._text, whole, answer.usage.prompt_tokens, folder, self._token
            )
        else:
            found = yield from quality.against(self._runtime, self._variant, self._text, reference, self._token)
        self.loaded |= found.loaded
        self._note(**found.figures)
        yield self.measured
        return reference

    def _answer(self) -> Generator[Progress, None, _Answer]:
        # Without what was kept of other prompts: a time to the first token is that of the whole.
        request: Request = ChatRequest(self._variant, (Message("user", QUESTION),), self._sampling, reuse=False)
        if self._card.is_base:
            request = CompletionRequest(self._variant, OPENING, self._sampling, reuse=False)
        text, usage, prompt = "", Usage(), Prompt("")
        with closing(self._runtime.answer(request, self._token)) as stream:
            for event in stream:
                match event:
                    case Progress():
                        yield self._stage(event)
                    case Rendered():
                        prompt = Prompt(event.prompt, rendered=not self._card.is_base)
                    case Delta():
                        text, usage = text + event.text, event.usage
        self.loaded.add(usage.variant)
        line = next((line for line in self._runtime.held() if line.name == usage.variant), None)
        self._note(
            measured_bytes=line.bytes if line else None,
            peak_bytes=quality.peak_alone(self._runtime, usage, str(self._variant)),
            load_s=line.load_s if line else usage.load_s,
            ttft_s=usage.ttft_s,
            decode_tokens_per_s=usage.decode_tokens_per_s,
            answer=text,
        )
        return _Answer(prompt, text, usage)

    def _stage(self, step: Progress) -> Progress:
        return replace(step, detail=f"{self._variant} {step.detail}".strip())

    def _note(self, **figures: object) -> None:
        self.measured = replace(self.measured, **figures)  # type: ignore[arg-type]
