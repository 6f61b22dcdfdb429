"""What the page shows of a comparison: the values of its parts, and those of a run as it goes on."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from time import monotonic
from typing import Any

import gradio as gr
from gradio.components import Component

from models.domain.errors import PaddockError

from ..shared import render
from ..shared.language import say
from . import columns as render_columns
from . import results as render_results
from . import state as compare_state
from .kept import to_kept
from .runs import Run, Runs
from .state import Shown

SECONDS = 2.0  # between what the browser keeps while answers stream


@dataclass(frozen=True)
class Parts:
    """What a run changes, in the order of its outputs."""

    status: gr.HTML
    results: gr.HTML
    columns: gr.HTML
    pictures: gr.HTML
    shown: gr.State
    kept: gr.BrowserState
    go: gr.Button
    stop: gr.Button
    follow: gr.Button
    new: gr.Button
    files: dict[str, gr.Button]

    @property
    def outputs(self) -> list[Component]:
        drawn = [self.status, self.results, self.columns, self.pictures, self.shown, self.kept]
        return [*drawn, self.go, self.stop, self.follow, self.new, *self.files.values()]

    def nothing(self, line: Any = None) -> list[Any]:
        """Nothing new, but a line of status where there is one."""
        return [gr.skip() if line is None else line, *[gr.skip()] * (len(self.outputs) - 1)]

    def values(self, line: Any, shown: Shown, distance: float, kept: Any = None) -> list[Any]:
        """All of it; kept is what is shown, unless something else is given."""
        running, over = shown.running, shown.comparison is not None
        goes_on = shown.comparison is not None and not shown.comparison.independent
        active = [not running, running, goes_on, bool(shown.columns), *[over and not shown.blind] * len(self.files)]
        drawn = [render_results.results(shown, distance / 100), render_columns.columns(shown)]
        drawn.append(render_results.pictures(shown))
        kept = to_kept(shown) if kept is None else kept
        return [line, *drawn, shown, kept, *(gr.Button(interactive=on) for on in active)]

    def of_run(self, run: Run, distance: float) -> list[Any]:
        """All of a run as of now."""
        if not run.over:
            return self.values(_so_far(run.shown) + run.beside, run.shown, distance, _kept(run))
        failed = run.failure if run.place is None else None
        line = render.error(failed) if isinstance(failed, PaddockError) else _said(run.shown)
        return self.values(line + run.beside, run.shown, distance)

    async def watch(self, runs: Runs, session: str, run: Run, distance: float) -> AsyncGenerator[list[Any]]:
        """A run for as long as it goes on and the page does not leave it."""
        version, tables, saved = run.version, run.tables, monotonic()
        runs.enter(session, run)
        try:
            yield self.of_run(run, distance)
            while not run.over:
                await run.change(version)
                if runs.of(session) is not run:  # Gradio sends the last values again at the end, so they are none
                    yield self.nothing()
                    return
                if run.over:
                    break
                yield self._news(run, distance, version, tables, monotonic() - saved > SECONDS)
                saved = monotonic() if monotonic() - saved > SECONDS else saved
                version, tables = run.version, run.tables
            yield self.of_run(run, distance)
            if run.failure is not None and not isinstance(run.failure, PaddockError):
                raise run.failure
        finally:
            runs.leave(session, run)

    def _news(self, run: Run, distance: float, version: int, tables: int, keep: bool) -> list[Any]:
        """What of it is new, as far as it is seen."""
        line = table = columns = kept = gr.skip()
        if run.tables != tables:
            line, table = _so_far(run.shown) + run.beside, render_results.results(run.shown, distance / 100)
        if run.version != version:
            columns = render_columns.columns(run.shown)
        if run.tables != tables or (keep and run.place is None):
            kept = _kept(run)
        drawn = [line, table, columns, gr.skip(), gr.skip(), kept]
        return [*drawn, *[gr.skip()] * (len(self.outputs) - len(drawn))]


def _kept(run: Run) -> str:
    """What a browser keeps of a run: of a column that is run again, what there was before."""
    if run.place is not None:
        return to_kept(compare_state.marked_as(run.before, run.shown, run.place), run=run.id)
    return to_kept(run.shown, compare_state.so_far(run.shown, run.request), run.id)


def _answered(shown: Shown) -> int:
    usages = [column.known.usage for column in shown.columns if not column.known.error]
    return sum(usage is not None and usage.finish not in (None, "cancelled") for usage in usages)


def _so_far(shown: Shown) -> str:
    told = say("Comparing: {done} of {count} answered.", done=_answered(shown), count=len(shown.columns))
    return render.said(told)


def _said(shown: Shown) -> str:
    done, count = _answered(shown), len(shown.columns)
    if shown.stopped:
        return render.said(say("Stopped: {done} of {count} answered to the end.", done=done, count=count))
    return render.said(say("Done: {done} of {count} answered.", done=done, count=count))
