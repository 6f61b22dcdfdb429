"""One model on transformers and torch: rendering, tokenizing, streaming with measured usage, and its end."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace
from typing import TypeVar

from ...domain.engine import Attached, Prompt, Rows
from ...domain.errors import ContextExceeded, EngineFailed
from ...domain.load import ActiveAdapter, Snapshot
from ...domain.messages import Delta, Message, Progress, Sampling, Scored, Thought
from ...domain.settings import Settings
from ...domain.thinking import AS_IT_IS, Thinking
from ..chat_template import ChatTemplate, template_of
from ..device import give_back_memory
from ..library_errors import translated
from ..lora.attached import Adapters, made_with
from .answering import NAME, Asked, answer, answer_rows
from .engine_thread import engine_thread, prepare_torch
from .loader import Loaded, OnProgress, load
from .prefix_cache import LIMIT_BYTES, PrefixCache
from .scoring import score
from .tokens import prompt_ids

E = TypeVar("E", bound="TransformersEngine")


def open_transformers(
    snapshot: Snapshot, mode: str, accelerator: str, settings: Settings, on_progress: OnProgress
) -> TransformersEngine:
    """Load on the engine thread, from any thread; raises OutOfMemory, CorruptWeights, EngineFailed.

    `on_progress` is called on the engine thread.
    """

    try:
        return engine_thread().run(
            lambda: opened(snapshot, mode, accelerator, settings, on_progress, TransformersEngine)
        )
    except BaseException:  # of one that was given up, too
        engine_thread().run(give_back_memory)  # what was loaded until then
        raise


def opened(
    snapshot: Snapshot,
    mode: str,
    accelerator: str,
    settings: Settings,
    on_progress: OnProgress,
    kind: type[E],
    processes: int = 1,
) -> E:
    """The same on the engine thread, as an engine of some kind; with several `processes`, which all load, its part."""
    prepare_torch(settings.compute_threads)
    loaded = load(snapshot, mode, accelerator, on_progress, processes)
    adapters = Adapters(loaded.model, settings.attached, int(settings.attached_mb * 1e6))
    template = template_of(loaded.tokenizer, snapshot.path, snapshot.trusted)
    return kind(loaded, adapters, template, settings.context, accelerator)


class TransformersEngine:
    """The Engine protocol on a loaded transformers model; all of torch happens on the engine thread."""

    name = NAME
    slots = 1

    def __init__(
        self, loaded: Loaded, adapters: Adapters, template: ChatTemplate, context: int, accelerator: str
    ) -> None:
        self.context = min(context, loaded.context)
        self.bytes = loaded.bytes
        self._loaded: Loaded | None = loaded
        self._adapters = adapters
        self._prefixes = PrefixCache(LIMIT_BYTES.get(accelerator, LIMIT_BYTES["cpu"]))
        self._template = template

    @property
    def resident(self) -> int:
        """What closing it gives back."""
        return self.bytes + self._adapters.bytes + self._prefixes.bytes

    @property
    def attached(self) -> tuple[Attached, ...]:
        """The adapters that stay beside the model for a next answer, the last used first."""
        return self._adapters.attached

    def render(self, messages: Sequence[Message], thinking: Thinking = AS_IT_IS) -> Prompt:
        """The conversation by the model's own chat template; raises TemplateFailed."""
        return self._template.write(messages, thinking)

    def generate(
        self,
        prompt: Prompt,
        sampling: Sampling,
        time_limit_s: float = float("inf"),
        rows: Rows = ((),),
        reuse: bool = True,
    ) -> Iterator[Delta | Thought]:
        """One delta or thought a token; raises EmptyPrompt and NotFinite too.

        With a seed no kept cache is used: a prompt computed in two parts rounds differently, and the text could change.
        A row of several is what it would be alone, up to rounding: in bf16 it may part from it after some tokens.
        """

        def deltas() -> Generator[Delta | Thought, None, None]:
            loaded = self._in_memory()
            with translated(during="while answering"):
                asked = Asked.of(loaded, prompt, sampling, self.context, time_limit_s)
                # The whole answer is one job of the engine thread: nobody else's computation ever sees these adapters.
                with self._adapters.acting(*rows):
                    # No name for the answer: it has to end before the adapters do.
                    yield from self._stamped(self._answers(loaded, asked, rows, reuse))

        return engine_thread().stream(deltas)

    def score(
        self,
        prompt: Prompt,
        record: str = "",
        reference: str = "",
        adapters: Sequence[ActiveAdapter] = (),
        rivals: int = 0,
    ) -> Iterator[Progress | Scored]:
        """Closing the iterator stops the computation within one chunk; raises ReferenceDiffers and DiskFull too."""

        def scores() -> Generator[Progress | Scored, None, None]:
            loaded = self._in_memory()
            with translated(during="while scoring"), self._adapters.acting(adapters):
                ids = prompt_ids(loaded, prompt)
                if len(ids) > self.context:
                    raise ContextExceeded(prompt_tokens=len(ids), context=self.context)
                yield from self._scores(loaded, prompt.text, ids, record, reference, rivals)

        return engine_thread().stream(scores)

    def close(self) -> None:
        """Give the memory back, after the answer that is being computed."""

        def close() -> None:
            self._loaded = None
            self._prefixes.clear()
            self._adapters.clear()
            give_back_memory()

        engine_thread().run(close)

    def _answers(self, loaded: Loaded, asked: Asked, rows: Rows, reuse: bool) -> Iterator[Delta | Thought]:
        if len(rows) > 1:
            return answer_rows(loaded, asked, len(rows))
        return answer(loaded, self._prefixes, asked, made_with(rows[0]), reuse)

    def _scores(
        self, loaded: Loaded, text: str, ids: list[int], record: str, reference: str, rivals: int
    ) -> Iterator[Progress | Scored]:
        return score(loaded, text, ids, record, reference, rivals)

    def _in_memory(self) -> Loaded:
        if self._loaded is None:
            raise EngineFailed(detail="it was removed from memory meanwhile")
        return self._loaded

    def _stamped(self, deltas: Iterator[Delta | Thought]) -> Iterator[Delta | Thought]:
        """The deltas of each row with the adapters that act on it, read from the layers at the first and at the last.

        Reading them for each token, too, cost 2 of 35 ms.
        """
        acting: dict[int, tuple[str, ...]] = {}
        for delta in deltas:
            if delta.row not in acting or delta.usage.finish:
                acting[delta.row] = self._adapters.read(delta.row)
            yield replace(delta, usage=replace(delta.usage, adapters=acting[delta.row]))
