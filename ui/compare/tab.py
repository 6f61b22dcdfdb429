"""The Compare tab: one prompt to several variants, their answers side by side, and a reason to choose one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.components import Component

from models.domain.errors import BadComparison, NotUtf8, PaddockError
from models.domain.results.comparison import Compared, Comparison
from models.domain.results.file import LONGEST_FILE, from_json
from models.studies.compare import comparing
from models.system.encodings import decoded

from ..page import Page, Tab
from ..shared import render
from ..shared.events import AT_ONCE, IN_ORDER, PRESS, Values, Visitor, computing, download, named, pressed
from ..shared.sampling import read_sampling
from ..shared.stops import Stops
from ..shared.text import t
from . import blind
from . import columns as render_columns
from . import state as compare_state
from .setup import Prepared, draw_setup, prepare, wire_setup
from .state import Shown
from .votes import draw_votes, votes_values, wire_votes

# Where the columns begin below what is seen, a press that starts them brings them there, once they are drawn.
LOOK = """
document.addEventListener('click', (event) => {
  if (!event.target.closest('#compare-go, #compare-follow')) return;
  setTimeout(() => {
    const line = document.querySelector('#compare-status');
    if (line && line.getBoundingClientRect().top > window.innerHeight / 2) line.scrollIntoView();
  }, 500);
});"""
OTHER_LIST = "A follow-up goes to the variants that stand here, not to the changed list: press Compare for that one."
FILES = ("json", "csv", "markdown")


@dataclass(frozen=True)
class _Parts:
    """What a run changes, in the order of its outputs."""

    status: gr.HTML
    columns: gr.HTML
    results: gr.HTML
    shown: gr.State
    go: gr.Button
    stop: gr.Button
    follow: gr.Button
    new: gr.Button
    files: dict[str, gr.Button]

    @property
    def outputs(self) -> list[Component]:
        drawn = [self.status, self.columns, self.results, self.shown]
        return [*drawn, self.go, self.stop, self.follow, self.new, *self.files.values()]


def build_compare_tab(page: Page) -> Tab:
    """Draw the tab and wire it."""
    runtime = page.runtime
    gr.Markdown(t("compare_lead"), elem_id="compare-lead")
    setup = draw_setup(runtime)
    with setup.left, gr.Row(elem_id="compare-buttons"):
        go = gr.Button(t("compare"), variant="primary", elem_id="compare-go")
        stop = gr.Button(t("stop"), interactive=False, elem_id="compare-stop")
        follow = gr.Button(t("follow_up"), interactive=False, elem_id="compare-follow")
        new = gr.Button(t("new"), interactive=False, elem_id="compare-new")
    status = gr.HTML(elem_id="compare-status", elem_classes="status-line")
    columns = gr.HTML(render_columns.EMPTY, elem_id="compare-columns", elem_classes="flush", js_on_load=PRESS + LOOK)
    results = gr.HTML(elem_id="compare-results", elem_classes="flush")
    with gr.Row(elem_id="compare-files"):
        files = {name: gr.Button(t(name), size="sm", interactive=False, elem_id=f"compare-{name}") for name in FILES}
        opening = gr.UploadButton(t("open_comparison"), size="sm", file_types=[".json"], elem_id="compare-open")
    votes = draw_votes(page.votes)
    parts = _Parts(status, columns, results, gr.State(Shown()), go, stop, follow, new, files)
    stops, count = Stops(), len(parts.outputs)

    async def run(
        visitor: Visitor, asked: Prepared, order: tuple[int, ...], distance: float
    ) -> AsyncIterator[list[Any]]:
        """Compare and draw; whatever ends it, what is there by then stays."""
        request, halt, failed = asked.request, stops.begin(visitor.session), ""
        beside = "".join(map(render.error, asked.left_out))
        beside += render.said(OTHER_LIST) if asked.follows_other else ""
        shown = compare_state.begin(request, order)
        comparison: Comparison | None = None
        yield _values(_so_far(shown) + beside, shown, distance)
        try:
            async with aclosing(comparing(runtime, request, halt, visitor.token)) as steps:
                async for step in steps:
                    if stops.dropped(visitor.session, halt):
                        break
                    if isinstance(step, Comparison):
                        comparison = replace(step, questions=compare_state.questions(request.histories))
                        continue
                    shown = compare_state.advance(shown, step.column, step.event)
                    line = _so_far(shown) + beside if isinstance(step.event, Compared) else gr.skip()
                    yield [line, render_columns.columns(shown), *[gr.skip()] * (count - 2)]
        except PaddockError as error:
            failed = render.error(error)
        finally:
            dropped = stops.dropped(visitor.session, halt)
            stops.end(visitor.session, halt)
        if dropped:  # the page belongs to whoever dropped it; Gradio sends the last values again, so they are none
            yield [gr.skip()] * count
            return
        whole = comparison or compare_state.so_far(shown, request)
        shown = compare_state.ended(shown, whole, stopped=comparison is None)
        yield _values((failed or _said(shown)) + beside, shown, distance)

    async def ask(visitor: Visitor, values: Values, earlier: Shown) -> AsyncIterator[list[Any]]:
        """Begin a run; where it is refused, only the reason is new on the page."""
        try:
            sampling = read_sampling(named(page.sampling, values))
            asked = prepare(runtime, setup.read(values), sampling, earlier.comparison)
        except PaddockError as error:
            yield [render.error(error), *[gr.skip()] * (count - 1)]
            return
        order = blind.order(earlier, len(asked.request.variants)) if values[setup.blind] else ()
        async for drawn in run(visitor, asked, order, values[setup.distance]):
            yield drawn

    async def compare(request: gr.Request, token: gr.OAuthToken | None, values: Values) -> AsyncIterator[list[Any]]:
        async for drawn in ask(Visitor.of(request, token), values, Shown()):
            yield drawn

    async def follow_up(request: gr.Request, token: gr.OAuthToken | None, values: Values) -> AsyncIterator[list[Any]]:
        async for drawn in ask(Visitor.of(request, token), values, values[parts.shown]):
            yield drawn

    async def clear(request: gr.Request, distance: float) -> list[Any]:
        await stops.silence(str(request.session_hash))
        return ["", *_values("", Shown(), distance)]

    def stop_comparing(request: gr.Request) -> None:
        stops.stop(str(request.session_hash))

    def draw_results(shown: Shown, distance: float) -> str:
        return render_columns.results(shown, distance / 100)

    async def open_file(request: gr.Request, file: str | None, distance: float) -> list[Any]:
        try:
            comparison = read_comparison(file)
        except PaddockError as error:
            return [gr.skip(), gr.skip(), render.error(error), *[gr.skip()] * (count - 1)]
        await stops.silence(str(request.session_hash))
        listed = [column.variant for column in comparison.columns]
        last = comparison.questions[-1] if comparison.questions else ""
        said = render.said(f"Opened: made {comparison.created}.")
        return [listed, last, *_values(said, compare_state.ended(Shown(), comparison), distance)]

    def vote(event: gr.EventData, shown: Shown, kept: Any, distance: float) -> list[Any]:
        try:
            shown, cast = blind.read_vote(shown, pressed(event))
        except PaddockError as error:
            return [render.error(error), *[gr.skip()] * (count - 1), *[gr.skip()] * 3]
        voted = render.said(f"Voted: {cast.winner or ('equally good' if cast.tie else 'none is good')}.")
        return [*_values(voted, shown, distance), *votes_values(blind.added(kept, cast))]

    options = computing(runtime.settings.slots) | {"show_progress_on": [status]}
    asked = {parts.shown, setup.blind, setup.distance, *setup.fields.values(), *page.sampling.values()}
    compared = [
        trigger(handler, asked, parts.outputs, **options)
        for trigger, handler in ((go.click, compare), (setup.prompt.submit, compare), (follow.click, follow_up))
    ]
    stop.click(stop_comparing, None, None, **AT_ONCE)
    new.click(clear, setup.distance, [setup.prompt, *parts.outputs], **IN_ORDER)
    setup.distance.change(draw_results, [parts.shown, setup.distance], results, **AT_ONCE, trigger_mode="always_last")
    opening.upload(open_file, [opening, setup.distance], [setup.variants, setup.prompt, *parts.outputs], **IN_ORDER)
    columns.click(vote, [parts.shown, votes.kept, setup.distance], [*parts.outputs, *votes.outputs], **AT_ONCE)
    for name, button in files.items():
        button.click(None, None, None, js=download("#compare-results", name), api_visibility="private")
    wire_setup(runtime, setup, page.picker, status)
    wire_votes(votes, page.app)
    return Tab(status, compared, None, setup.linked, setup.open, setup.state)


def read_comparison(file: str | None) -> Comparison:
    """The comparison in an uploaded file, which is deleted; raises BadComparison."""
    if not file:
        raise BadComparison(reason="there is no file")
    path = Path(file)
    try:
        with path.open("rb") as opened:
            data = opened.read(LONGEST_FILE + 1)
        return from_json(decoded(data, "The file"))
    except (OSError, NotUtf8):
        raise BadComparison(reason="it is not text") from None
    finally:
        path.unlink(missing_ok=True)


def _answered(shown: Shown) -> int:
    usages = [column.known.usage for column in shown.columns if not column.known.error]
    return sum(usage is not None and usage.finish not in (None, "cancelled") for usage in usages)


def _so_far(shown: Shown) -> str:
    return render.said(f"Comparing: {_answered(shown)} of {len(shown.columns)} answered.")


def _said(shown: Shown) -> str:
    answered = _answered(shown)
    how = "Stopped: {} of {} answered to the end." if shown.stopped else "Done: {} of {} answered."
    return render.said(how.format(answered, len(shown.columns)))


def _values(line: str, shown: Shown, distance: float) -> list[Any]:
    """Values for `_Parts.outputs`."""
    running, over = shown.running, shown.comparison is not None
    active = [not running, running, over, bool(shown.columns), *[over and not shown.blind] * len(FILES)]
    drawn = [render_columns.columns(shown), render_columns.results(shown, distance / 100)]
    return [line, *drawn, shown, *(gr.Button(interactive=on) for on in active)]
