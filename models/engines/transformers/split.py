"""A model over several processes, each with a part of every matrix (transformers' tensor parallelism).

The first process decides: it tells the others what is asked, and before each token whether to go on. All run the same
decode loop on the same numbers, since every sum over the parts arrives at all of them.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing, suppress
from dataclasses import replace
from functools import partial
from itertools import count
from typing import Any

from ...domain.engine import Prompt, Rows
from ...domain.errors import AdapterRefused, NotFinite, ProcessLost
from ...domain.load import Snapshot
from ...domain.messages import Delta, Progress, Sampling, Scored, Thought
from ...domain.settings import Settings
from ..device import give_back_memory
from . import group
from .answering import Asked
from .engine import TransformersEngine, opened
from .engine_thread import engine_thread
from .loader import Loaded, OnProgress

_NUMBERS = count()
ONE_PROCESS = "the model is split among several processes, and adapters act in one"


def open_split(
    snapshot: Snapshot, mode: str, accelerator: str, settings: Settings, on_progress: OnProgress
) -> SplitEngine:
    """Load in all processes, from any thread of the first; raises what open_transformers does, and ProcessLost."""

    def work() -> SplitEngine:
        number, left = next(_NUMBERS), list[BaseException]()

        def report(progress: Progress) -> None:  # who leaves meanwhile is heard afterwards: the others are loading too
            try:
                on_progress(progress)
            except BaseException as error:
                left.append(error)

        with group.noticing_loss(settings.processes):
            where = {"snapshot": snapshot, "mode": mode, "accelerator": accelerator, "settings": settings}
            group.tell(partial(_open_too, number=number, where=where))
            engine = opened(**where, on_progress=report, kind=SplitEngine, processes=settings.processes)  # type: ignore[arg-type]
        engine.number, engine.processes = number, settings.processes
        if left:
            engine.close()
            raise left[0]
        return engine

    try:
        return engine_thread().run(work)
    except BaseException:
        engine_thread().run(give_back_memory)
        raise


class SplitEngine(TransformersEngine):
    """The first process's engine, with which those of the others keep step."""

    number = 0
    processes = 1

    def generate(
        self,
        prompt: Prompt,
        sampling: Sampling,
        time_limit_s: float = float("inf"),
        rows: Rows = ((),),
        reuse: bool = True,
    ) -> Iterator[Delta | Thought]:
        """As in one process; raises AdapterRefused for an adapter that acts, and ProcessLost."""
        for active in (active for row in rows for active in row if active.weight):
            raise AdapterRefused(adapter=active.adapter.name, reason=ONE_PROCESS)
        return super().generate(prompt, sampling, time_limit_s, tuple(() for _ in rows), reuse)

    def score(self, prompt: Prompt, record: str = "", reference: str = "", adapters: Any = (), rivals: int = 0) -> Any:
        """As in one process; raises AdapterRefused for an adapter that acts, and ProcessLost."""
        for active in (active for active in adapters if active.weight):
            raise AdapterRefused(adapter=active.adapter.name, reason=ONE_PROCESS)
        return super().score(prompt, record, reference, (), rivals)

    def close(self) -> None:
        """Everywhere."""

        def tell() -> None:
            if group.size() > 1:
                group.tell(partial(_close_too, number=self.number))

        engine_thread().run(tell)
        super().close()

    def _answers(self, loaded: Loaded, asked: Asked, rows: Rows, reuse: bool) -> Iterator[Delta | Thought]:
        # Their clocks end nothing.
        theirs = replace(asked, deadline=float("inf"))
        group.tell(partial(_answer_too, number=self.number, asked=theirs, rows=len(rows), reuse=reuse))
        return _leading(super()._answers(loaded, asked, rows, reuse), len(rows))

    def _scores(
        self, loaded: Loaded, text: str, ids: list[int], record: str, reference: str, rivals: int
    ) -> Iterator[Progress | Scored]:
        group.tell(partial(_score_too, number=self.number, text=text, ids=ids))
        return _leading(super()._scores(loaded, text, ids, record, reference, rivals), 1)

    def _in_memory(self) -> Loaded:
        if group.size() == 1:
            raise ProcessLost(processes=self.processes)
        return super()._in_memory()


def _leading(items: Any, rows: int) -> Generator[Any, None, None]:
    """The items of the first process; the others make one for each, as long as it asks for more."""
    going, ended = True, 0
    try:
        with closing(items):
            while True:
                if going:
                    group.agreed(True)
                try:
                    item = next(items)
                except StopIteration:
                    going = False
                    return
                if isinstance(item, Delta) and item.usage.finish:
                    ended += 1
                    if ended == rows:  # perhaps by its clock, which the others do not know
                        group.agreed(False)
                        going = False
                yield item
    except GeneratorExit:
        if going:
            group.agreed(False)
        raise
    except NotFinite:  # they meet the same number
        raise
    except BaseException:
        group.abandon()  # nobody knows where the others stand
        raise


def _following(items: Any) -> None:
    with closing(items), suppress(NotFinite):
        while group.agreed(False):
            if next(items, None) is None:
                return


def _open_too(held: dict[int, Any], number: int, where: dict[str, Any]) -> None:
    several = where["settings"].processes
    held[number] = opened(**where, on_progress=lambda progress: None, kind=TransformersEngine, processes=several)


def _answer_too(held: dict[int, Any], number: int, asked: Asked, rows: int, reuse: bool) -> None:
    engine: TransformersEngine = held[number]
    with engine._adapters.acting(*[()] * rows):
        _following(engine._answers(engine._in_memory(), asked, [()] * rows, reuse))


def _score_too(held: dict[int, Any], number: int, text: str, ids: list[int]) -> None:
    engine: TransformersEngine = held[number]
    with engine._adapters.acting(()):
        _following(engine._scores(engine._in_memory(), text, ids, "", "", 0))


def _close_too(held: dict[int, Any], number: int) -> None:
    held.pop(number).close()
