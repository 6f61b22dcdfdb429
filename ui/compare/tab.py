"""The Compare tab: one prompt to several variants, their answers side by side, and a reason to choose one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic
from typing import Any

import gradio as gr
from gradio.components import Component

from models.domain.errors import BadComparison, NotUtf8, PaddockError
from models.domain.memory.hardware import Hardware
from models.domain.request import CompareRequest
from models.domain.results import edits
from models.domain.results.comparison import Compared, Comparison
from models.domain.results.file import LONGEST_FILE, from_json
from models.studies.compare import RUNS, comparing
from models.system.encodings import decoded

from ..page import Page, Tab
from ..shared import render
from ..shared.events import AT_ONCE, IN_ORDER, Values, Visitor, computing, download, named, own_token, pressed
from ..shared.language import say
from ..shared.sampling import read_sampling
from ..shared.stops import Stops
from ..shared.text import t
from . import actions, blind
from . import columns as render_columns
from . import results as render_results
from . import state as compare_state
from .asked import prepare
from .candidates import not_run
from .kept import from_kept, to_kept
from .needs import weighed
from .setup import draw_setup, planned, wire_setup
from .state import Shown
from .votes import draw_votes, votes_values, wire_votes

SCRIPT = Path(__file__).with_name("columns.js").read_text(encoding="utf-8")
# Where the columns begin below what is seen, a press that starts them brings them there, once they are drawn.
LOOK = """
document.addEventListener('click', (event) => {
  if (!event.target.closest('#compare-go, #compare-follow')) return;
  setTimeout(() => {
    const line = document.querySelector('#compare-status');
    if (line && line.getBoundingClientRect().top > window.innerHeight / 2) line.scrollIntoView();
  }, 500);
});"""
FILES = ("json", "csv", "markdown")
# Of presses that follow each other fast, each sees what the one before has made.
ONE_BY_ONE: dict[str, Any] = IN_ORDER | {"concurrency_limit": 1, "concurrency_id": "press", "trigger_mode": "multiple"}
SECONDS = 2.0  # between what is kept while answers stream


@dataclass(frozen=True)
class _Parts:
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


def build_compare_tab(page: Page) -> Tab:
    """Draw the tab and wire it."""
    runtime = page.runtime
    gr.Markdown(t("compare_lead"), elem_id="compare-lead")
    setup = draw_setup(page.candidates)
    with gr.Row(elem_id="compare-buttons"):
        go = gr.Button(t("compare"), variant="primary", elem_id="compare-go")
        follow = gr.Button(t("follow_up"), interactive=False, elem_id="compare-follow")
        stop = gr.Button(t("stop"), interactive=False, elem_id="compare-stop")
        new = gr.Button(t("new"), interactive=False, elem_id="compare-new")
    status = gr.HTML(elem_id="compare-status", elem_classes="status-line")
    results = gr.HTML(elem_id="compare-results", elem_classes="flush", js_on_load=SCRIPT + LOOK)
    columns = gr.HTML(render_columns.empty(), elem_id="compare-columns", elem_classes="flush", js_on_load=SCRIPT)
    pictures = gr.HTML(elem_id="compare-pictures", elem_classes="flush")
    with gr.Row(elem_id="compare-files"):
        files = {name: gr.Button(t(name), size="sm", interactive=False, elem_id=f"compare-{name}") for name in FILES}
        opening = gr.UploadButton(t("open_comparison"), size="sm", file_types=[".json"], elem_id="compare-open")
    votes = draw_votes(page.votes)
    parts = _Parts(status, results, columns, pictures, gr.State(Shown()), page.compared, go, stop, follow, new, files)
    stops, count = Stops(), len(parts.outputs)

    async def run(
        visitor: Visitor, request: CompareRequest, shown: Shown, place: int | None, distance: float, beside: str = ""
    ) -> AsyncIterator[list[Any]]:
        """Compare and draw; whatever ends it, what is there by then stays. With a `place`, that column alone."""
        halt, failed, problem = stops.begin(visitor.session), "", ""
        before, saved = shown, monotonic()
        shown = shown if place is None else compare_state.again(shown, place)
        comparison: Comparison | None = None
        yield _values(_so_far(shown) + beside, shown, distance, gr.skip())
        try:
            async with aclosing(comparing(runtime, request, halt, visitor.token)) as steps:
                async for step in steps:
                    if stops.dropped(visitor.session, halt):
                        break
                    if isinstance(step, Comparison):
                        comparison = step
                        continue
                    shown = compare_state.advance(shown, step.column if place is None else place, step.event)
                    over, kept = isinstance(step.event, Compared), gr.skip()
                    if place is None and (over or monotonic() - saved > SECONDS):
                        kept, saved = to_kept(shown, compare_state.so_far(shown, request)), monotonic()
                    line = _so_far(shown) + beside if over else gr.skip()
                    table = render_results.results(shown, distance / 100) if over else gr.skip()
                    drawn = [line, table, render_columns.columns(shown), gr.skip(), gr.skip(), kept]
                    yield [*drawn, *[gr.skip()] * (count - len(drawn))]
        except PaddockError as error:
            failed, problem = render.error(error), say(str(error))
        finally:
            dropped = stops.dropped(visitor.session, halt)
            stops.end(visitor.session, halt)
        if dropped:  # the page belongs to whoever dropped it; Gradio sends the last values again, so they are none
            yield [gr.skip()] * count
            return
        if place is None:
            whole = comparison or compare_state.so_far(shown, request)
            whole = replace(whole, questions=compare_state.questions(request))
            shown = compare_state.ended_run(shown, whole, stopped=comparison is None)
        elif comparison is None or before.comparison is None:
            problem = problem or say("Stopped.")
            shown = compare_state.failed_again(before, place, f"{problem} {say('This is its earlier answer.')}")
        else:
            new = replace(comparison.columns[0], marks=shown.columns[place].known.marks)
            shown = compare_state.changed(before, edits.put(before.comparison, place, new))
        yield _values((failed or _said(shown)) + beside, shown, distance)

    def hardware_of(values: Values) -> Hardware | None:
        try:
            return page.picker.read(values).machine
        except PaddockError:  # said where it was typed
            return None

    async def ask(visitor: Visitor, values: Values, earlier: Shown) -> AsyncIterator[list[Any]]:
        """Begin a run; where it is refused, only the reason is new on the page."""
        try:
            sampling = read_sampling(named(page.sampling, values))
            listed = planned(runtime, setup, page.picker, values, visitor.token)
            asked = prepare(runtime, listed, setup.read(values), sampling, earlier.comparison)
        except PaddockError as error:
            yield [render.error(error), *[gr.skip()] * (count - 1)]
            return
        order = blind.order(earlier, len(asked.request.variants)) if values[setup.blind] else ()
        shown = compare_state.begin(asked.request, order, earlier)
        shown = await asyncio.to_thread(weighed, runtime, shown, hardware_of(values), visitor.token)
        beside = not_run(asked.left_out)
        if asked.follows_other:
            beside += render.said(
                say("A follow-up goes to the variants that stand here: press Compare for the others.")
            )
        async for drawn in run(visitor, asked.request, shown, None, values[setup.distance], beside):
            yield drawn

    async def compare(request: gr.Request, token: gr.OAuthToken | None, values: Values) -> AsyncIterator[list[Any]]:
        async for drawn in ask(Visitor.of(request, token), values, Shown(view=values[parts.shown].view)):
            yield drawn

    async def follow_up(request: gr.Request, token: gr.OAuthToken | None, values: Values) -> AsyncIterator[list[Any]]:
        async for drawn in ask(Visitor.of(request, token), values, values[parts.shown]):
            yield drawn

    async def run_again(
        event: gr.EventData, request: gr.Request, token: gr.OAuthToken | None, values: Values
    ) -> AsyncIterator[list[Any]]:
        shown: Shown = values[parts.shown]
        try:
            place = actions.place_at(shown, pressed(event).removeprefix("again-"))
            asked = compare_state.request_again(shown, place)
            asked = replace(asked, base_prompt=setup.read(values).parts, runs=RUNS if asked.text else 1)
        except PaddockError as error:
            yield [render.error(error), *[gr.skip()] * (count - 1)]
            return
        async for drawn in run(Visitor.of(request, token), asked, shown, place, values[setup.distance]):
            yield drawn

    async def clear(request: gr.Request, distance: float) -> list[Any]:
        await stops.silence(str(request.session_hash))
        return ["", *_values("", Shown(), distance)]

    def stop_comparing(request: gr.Request) -> None:
        stops.stop(str(request.session_hash))

    def draw_results(shown: Shown, distance: float) -> str:
        return render_results.results(shown, distance / 100)

    async def open_file(request: gr.Request, token: gr.OAuthToken | None, values: Values) -> list[Any]:
        try:
            comparison = read_comparison(values[opening])
        except PaddockError as error:
            return [gr.skip(), gr.skip(), render.error(error), *[gr.skip()] * (count - 1)]
        await stops.silence(str(request.session_hash))
        listed = [column.variant for column in comparison.columns]
        last = comparison.questions[-1] if comparison.questions else ""
        said = render.said(say("Opened: made {moment}.", moment=comparison.created))
        shown = compare_state.ended(Shown(), comparison)
        shown = await asyncio.to_thread(weighed, runtime, shown, hardware_of(values), own_token(token))
        return [listed, last, *_values(said, shown, values[setup.distance])]

    def restore(token: gr.OAuthToken | None, values: Values) -> list[Any]:
        """What the browser kept, in a page that opens again."""
        shown = from_kept(values[parts.kept])
        if not shown.columns:
            return [*[gr.skip()] * 2, render_columns.empty(), *[gr.skip()] * (count - 3)]
        shown = weighed(runtime, shown, hardware_of(values), own_token(token))
        return _values(gr.skip(), shown, values[setup.distance], gr.skip())

    def weigh_again(token: gr.OAuthToken | None, values: Values) -> list[Any]:
        """Needs and fits once other hardware was chosen."""
        shown: Shown = values[parts.shown]
        hardware = hardware_of(values)
        if not shown.columns or shown.running or shown.hardware == (hardware.title if hardware else ""):
            return [gr.skip()] * 3
        shown = weighed(runtime, shown, hardware, own_token(token))
        return [render_results.results(shown, values[setup.distance] / 100), render_columns.columns(shown), shown]

    def act(event: gr.EventData, values: Values) -> list[Any]:
        """A press at a column or at the table: a mark, a removal, another view, or a vote."""
        shown, kept, distance, press = values[parts.shown], values[votes.kept], values[setup.distance], pressed(event)
        same = [gr.skip()] * len(votes.outputs)
        if shown.running:  # what streams would overwrite it
            return [*[gr.skip()] * count, *same]
        try:
            if not blind.is_vote(press):
                return [*_values("", actions.after(shown, press), distance), *same]
            shown, cast = blind.read_vote(shown, press)
        except PaddockError as error:
            return [render.error(error), *[gr.skip()] * (count - 1), *same]
        what = cast.winner or (say("equally good") if cast.tie else say("none is good"))
        line = render.said(say("Voted: {what}.", what=what))
        return [*_values(line, shown, distance), *votes_values(blind.added(kept, cast))]

    picked = page.picker.asked
    options = computing(runtime.settings.slots) | {"show_progress_on": [status]}
    asked = {parts.shown, setup.variants, setup.blind, setup.distance, *setup.fields.values()}
    asked |= {*page.sampling.values(), *picked}
    compared = [
        trigger(handler, asked, parts.outputs, **options)
        for trigger, handler in (
            (go.click, compare),
            (setup.prompt.submit, compare),
            (follow.click, follow_up),
            (columns.retry, run_again),
        )
    ]
    stop.click(stop_comparing, None, None, **AT_ONCE)
    new.click(clear, setup.distance, [setup.prompt, *parts.outputs], **IN_ORDER)
    setup.distance.change(draw_results, [parts.shown, setup.distance], results, **AT_ONCE, trigger_mode="always_last")
    opening.upload(
        open_file, {opening, setup.distance, *picked}, [setup.variants, setup.prompt, *parts.outputs], **IN_ORDER
    )
    for place in (columns, results):
        drawn = [*parts.outputs, *votes.outputs]
        place.click(act, {parts.shown, votes.kept, setup.distance}, drawn, **ONE_BY_ONE)
    for event in page.picker.picked:
        event.then(weigh_again, {parts.shown, setup.distance, *picked}, [results, columns, parts.shown], **AT_ONCE)
    page.app.load(restore, {parts.kept, setup.distance, *picked}, parts.outputs, **AT_ONCE)
    for name, button in files.items():
        button.click(None, None, None, js=download("#compare-results", name), api_visibility="private")
    follow_picked = wire_setup(runtime, setup, page.picker)
    wire_votes(votes, page.app)
    return Tab(status, compared, follow_picked, setup.linked, setup.open, setup.state)


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
    told = say("Comparing: {done} of {count} answered.", done=_answered(shown), count=len(shown.columns))
    return render.said(told)


def _said(shown: Shown) -> str:
    done, count = _answered(shown), len(shown.columns)
    if shown.stopped:
        return render.said(say("Stopped: {done} of {count} answered to the end.", done=done, count=count))
    return render.said(say("Done: {done} of {count} answered.", done=done, count=count))


def _values(line: Any, shown: Shown, distance: float, kept: Any = None) -> list[Any]:
    """Values for `_Parts.outputs`; kept is what is shown, unless something else is given."""
    running, over = shown.running, shown.comparison is not None
    goes_on = shown.comparison is not None and not shown.comparison.independent
    active = [not running, running, goes_on, bool(shown.columns), *[over and not shown.blind] * len(FILES)]
    drawn = [render_results.results(shown, distance / 100), render_columns.columns(shown)]
    drawn.append(render_results.pictures(shown))
    kept = to_kept(shown) if kept is None else kept
    return [line, *drawn, shown, kept, *(gr.Button(interactive=on) for on in active)]
