"""Comparisons under way: a run belongs to the server; pages watch it, leave it and come back to it by its id."""

from __future__ import annotations

import asyncio
import secrets
import threading
from contextlib import aclosing, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from models.domain.request import CompareRequest
from models.domain.results import edits
from models.domain.results.comparison import Compared, Comparison
from models.studies.compare import comparing

from . import actions
from . import state as compare_state
from .state import Shown

if TYPE_CHECKING:
    from models.runtime import Runtime

BEAT_S = 5.0  # a page that has gone is found at the next thing that it is sent
BACK_S = 30.0  # a page that has asked for its run needs on a slow machine until it watches
LONGEST_WAIT_S = 2.0
MOST_LEFT = 8  # runs that go on without a page; beyond, the one that was left first ends


class Run:
    """A comparison under way, or one column that is run again; `shown` is what there is of it.

    It changes on the event loop alone. `version` counts all changes, `tables` those of the table.
    """

    def __init__(self, shown: Shown, request: CompareRequest, place: int | None = None, beside: str = "") -> None:
        self.id = secrets.token_urlsafe(24)
        self.request, self.place, self.beside = request, place, beside
        self.before = shown
        self.shown = shown if place is None else compare_state.again(shown, place)
        self.halt = threading.Event()
        self.failure: Exception | None = None
        self.over = False
        self.version = self.tables = 0
        self.watched_by: dict[str, int] = {}  # sessions, and how many of their handlers may still send something
        self._changed = asyncio.Event()

    async def compute(self, runtime: Runtime, token: str | None) -> None:
        """Compare; whatever ends it, what is there by then stays."""
        comparison: Comparison | None = None
        try:
            async with aclosing(comparing(runtime, self.request, self.halt, token)) as steps:
                async for step in steps:
                    if isinstance(step, Comparison):
                        comparison = step
                        continue
                    place = step.column if self.place is None else self.place
                    self.shown = compare_state.advance(self.shown, place, step.event)
                    self._note(table=isinstance(step.event, Compared))
        except Exception as error:
            self.failure = error
        self.shown = self._ended(comparison)
        self.over = True
        self._note(table=True)

    def _ended(self, comparison: Comparison | None) -> Shown:
        if self.place is None:
            whole = comparison or compare_state.so_far(self.shown, self.request)
            whole = replace(whole, questions=compare_state.questions(self.request))
            return compare_state.ended_run(self.shown, whole, stopped=comparison is None)
        before = compare_state.marked_as(replace(self.before, view=self.shown.view), self.shown, self.place)
        if comparison is None or before.comparison is None:
            return compare_state.failed_again(before, self.place, str(self.failure or "Stopped."))
        new = replace(comparison.columns[0], marks=self.shown.columns[self.place].known.marks)
        return compare_state.changed(before, edits.put(before.comparison, self.place, new))

    def press(self, press: str) -> None:
        """A mark or another view while it runs; raises BadComparison."""
        self.shown = actions.after(self.shown, press)
        self._note(table=True)

    def _note(self, table: bool) -> None:
        self.version += 1
        self.tables += table
        self._changed.set()
        self._changed = asyncio.Event()

    async def change(self, version: int) -> None:
        """Wait until it is another than `version`, or for a beat."""
        if self.version == version:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), BEAT_S)


class Runs:
    """All runs of the server. A page is known by its session, and watches one run at a time.

    One that no page watches any more ends after `away_s` seconds, or at once where a page gave it up.
    """

    def __init__(self, away_s: float) -> None:
        self._away_s = away_s
        self._runs: dict[str, Run] = {}
        self._of: dict[str, Run] = {}  # by session
        self._left: dict[str, asyncio.TimerHandle] = {}  # by the id of the run, in the order in which they were left
        self._tasks: set[asyncio.Task[Any]] = set()

    def start(self, session: str, run: Run, runtime: Runtime, token: str | None) -> None:
        """Compute it for a page, whose run before ends unless another page watches it."""
        self.give_up(session)
        self._runs[run.id] = self._of[session] = run
        task = asyncio.create_task(run.compute(runtime, token))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def find(self, run_id: str) -> Run | None:
        """The run with that id, which only the browser that began it knows; its page is on its way back."""
        run = self._runs.get(run_id)
        if run and not run.watched_by:
            self._await(run, max(self._away_s, BACK_S))
        return run

    def of(self, session: str) -> Run | None:
        """The run that a page watches."""
        return self._of.get(session)

    def attach(self, session: str, run: Run) -> None:
        """A page comes back to it."""
        if self._of.get(session) is not run:
            self.give_up(session)
        self._of[session] = run

    def enter(self, session: str, run: Run) -> None:
        """A handler of the page begins to send what there is of it."""
        run.watched_by[session] = run.watched_by.get(session, 0) + 1
        if timer := self._left.pop(run.id, None):
            timer.cancel()

    def leave(self, session: str, run: Run) -> None:
        """The handler ends, because the run is over, or its page has gone or given it up."""
        run.watched_by[session] -= 1
        if run.watched_by[session]:
            return
        del run.watched_by[session]
        given_up = self._of.get(session) is not run
        if not given_up:
            del self._of[session]
        if run.watched_by or run.id not in self._runs:
            return
        if given_up or not self._away_s:
            self._end(run)
            return
        self._await(run, self._away_s)
        if len(self._left) > MOST_LEFT:
            self._end(min((self._runs[run_id] for run_id in self._left), key=lambda left: not left.over))

    def _await(self, run: Run, seconds: float) -> None:
        """Keep it a while; what is over, too, for a page that did not receive its end."""
        if timer := self._left.pop(run.id, None):
            timer.cancel()
        self._left[run.id] = asyncio.get_running_loop().call_later(seconds, self._end, run)

    def stop(self, session: str) -> None:
        """End the run that a page watches; what it has so far stays."""
        if run := self._of.get(session):
            run.halt.set()

    def give_up(self, session: str) -> None:
        """The run has no place on the page any more: cleared, or asked anew."""
        run = self._of.pop(session, None)
        if run and not [other for other in run.watched_by if other != session]:
            self._end(run)

    async def silence(self, session: str) -> None:
        """Give the page's run up, and wait until it sends nothing more that would bring it back."""
        run = self._of.get(session)
        self.give_up(session)
        for _ in range(round(LONGEST_WAIT_S / 0.02)):
            if run is None or session not in run.watched_by:
                return
            await asyncio.sleep(0.02)

    def _end(self, run: Run) -> None:
        run.halt.set()
        self._runs.pop(run.id, None)
        if timer := self._left.pop(run.id, None):
            timer.cancel()
