"""The Compare tab: one prompt to several variants, their answers side by side, and a reason to choose one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr

from models.domain.errors import BadComparison, NotUtf8, PaddockError
from models.domain.gpu_cost import GpuCost
from models.domain.memory.hardware import Hardware
from models.domain.results.comparison import Comparison
from models.domain.results.file import LONGEST_FILE, from_json
from models.studies.calls import comparison_cost
from models.studies.compare import RUNS
from models.system.encodings import decoded

from ..page import Page, Tab
from ..picker.cost import draw_cost, wire_cost
from ..programs.panel import drawn as drawn_panel
from ..programs.panel import elsewhere, opens
from ..shared import render
from ..shared.events import (
    AT_ONCE,
    IN_ORDER,
    SAVE_PAGE,
    Values,
    Visitor,
    computing,
    download,
    follows,
    named,
    own_token,
    pressed,
    signal,
)
from ..shared.language import say
from ..shared.sampling import read_sampling
from ..shared.text import t
from ..shared.thinking import read_thinking
from . import actions, blind
from . import columns as render_columns
from . import results as render_results
from . import state as compare_state
from .asked import prepare
from .candidates import not_run
from .kept import from_kept, run_of
from .needs import weighed
from .runs import Run, Runs
from .setup import draw_setup, planned, wire_setup
from .state import Shown
from .static_page import static_page
from .votes import draw_votes, votes_values, wire_votes
from .watched import Parts

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
    cost = draw_cost(runtime, "compare")
    status = gr.HTML(elem_id="compare-status", elem_classes="status-line")
    results = gr.HTML(elem_id="compare-results", elem_classes="flush", js_on_load=SCRIPT + LOOK)
    columns = gr.HTML(render_columns.empty(), elem_id="compare-columns", elem_classes="flush", js_on_load=SCRIPT)
    pictures = gr.HTML(elem_id="compare-pictures", elem_classes="flush")
    with gr.Row(elem_id="compare-files"):
        taken = (*FILES, "page", "elsewhere")
        files = {name: gr.Button(t(name), size="sm", interactive=False, elem_id=f"compare-{name}") for name in taken}
        opening = gr.UploadButton(t("open_comparison"), size="sm", file_types=[".json"], elem_id="compare-open")
    votes = draw_votes(page.votes)
    parts = Parts(status, results, columns, pictures, gr.State(Shown()), page.compared, go, stop, follow, new, files)
    runs = Runs(runtime.settings.away_s)
    coming_back = signal()  # the id of the run that a page that opens again goes on to watch

    def running(make: Callable[[str, Visitor, Values], Awaitable[Run]]) -> Callable[..., AsyncGenerator[list[Any]]]:
        """A handler that computes on the server what `make` returns, and shows it as it goes on.

        Where that is refused, only the reason is new on the page.
        """

        async def run(
            event: gr.EventData, request: gr.Request, token: gr.OAuthToken | None, values: Values
        ) -> AsyncGenerator[list[Any]]:
            visitor = Visitor.of(request, token, values[page.picker.token])
            try:
                made = await make(pressed(event), visitor, values)
            except PaddockError as error:
                yield parts.nothing(render.error(error))
                return
            runs.start(visitor.session, made, runtime, visitor.token)
            async with aclosing(parts.watch(runs, visitor.session, made, values[setup.distance])) as steps:
                async for drawn in steps:
                    yield drawn

        return run

    def hardware_of(values: Values) -> Hardware | None:
        try:
            return page.picker.read(values).machine
        except PaddockError:  # said where it was typed
            return None

    async def ask(visitor: Visitor, values: Values, earlier: Shown) -> Run:
        sampling = read_sampling(named(page.sampling, values))
        listed = planned(runtime, setup, page.picker, values, visitor.token)
        thinking = read_thinking(named(page.thinking, values))
        asked = prepare(runtime, listed, setup.read(values), sampling, earlier.comparison, thinking)
        order = blind.order(earlier, len(asked.request.variants)) if values[setup.blind] else ()
        shown = compare_state.begin(asked.request, order, earlier)
        shown = await asyncio.to_thread(weighed, runtime, shown, hardware_of(values), visitor.token)
        beside = not_run(asked.left_out)
        if asked.follows_other:
            beside += render.said(
                say("A follow-up goes to the variants that stand here: press Compare for the others.")
            )
        return Run(shown, asked.request, None, beside)

    async def compare(press: str, visitor: Visitor, values: Values) -> Run:
        return await ask(visitor, values, Shown(view=values[parts.shown].view))

    async def follow_up(press: str, visitor: Visitor, values: Values) -> Run:
        return await ask(visitor, values, values[parts.shown])

    async def run_again(press: str, visitor: Visitor, values: Values) -> Run:
        shown: Shown = values[parts.shown]
        place = actions.place_at(shown, press.removeprefix("again-").removeprefix("instead-"))
        if press.startswith("instead-"):
            other = compare_state.without_gpu(shown, place)
            shown = await asyncio.to_thread(weighed, runtime, other, hardware_of(values), visitor.token)
        asked = compare_state.request_again(shown, place)
        asked = replace(asked, base_prompt=setup.read(values).parts, runs=RUNS if asked.text else 1)
        return Run(shown, asked, place)

    async def come_back(request: gr.Request, token: gr.OAuthToken | None, values: Values) -> AsyncGenerator[list[Any]]:
        """Go on to watch the run that was under way when the page was left."""
        session, run = str(request.session_hash), runs.find(values[coming_back])
        if run is None:  # it ended just now
            drawn = await from_browser(token, values)
            yield ["", *drawn[1:]]
            return
        runs.attach(session, run)
        async with aclosing(parts.watch(runs, session, run, values[setup.distance])) as steps:
            async for drawn in steps:
                yield drawn

    async def clear(request: gr.Request, distance: float) -> list[Any]:
        await runs.silence(str(request.session_hash))
        return ["", *parts.values("", Shown(), distance)]

    async def stop_comparing(request: gr.Request) -> None:
        runs.stop(str(request.session_hash))

    def draw_results(shown: Shown, distance: float) -> str:
        return render_results.results(shown, distance / 100)

    async def open_file(request: gr.Request, token: gr.OAuthToken | None, values: Values) -> list[Any]:
        try:
            comparison = read_comparison(values[opening])
        except PaddockError as error:
            return [gr.skip(), gr.skip(), *parts.nothing(render.error(error))]
        await runs.silence(str(request.session_hash))
        listed = [column.variant for column in comparison.columns]
        last = comparison.questions[-1] if comparison.questions else ""
        said = render.said(say("Opened: made {moment}.", moment=comparison.created))
        shown = compare_state.ended(Shown(), comparison)
        shown = await asyncio.to_thread(
            weighed, runtime, shown, hardware_of(values), own_token(token, values[page.picker.token])
        )
        return [listed, last, *parts.values(said, shown, values[setup.distance])]

    async def restore(token: gr.OAuthToken | None, values: Values) -> list[Any]:
        """What the browser kept, in a page that opens again; of a run that goes on, what there is of it."""
        kept, distance = values[parts.kept], values[setup.distance]
        if run := runs.find(run_of(kept)):
            return [run.id, *parts.of_run(run, distance)]
        return [gr.skip(), *await from_browser(token, values)]

    async def open_kept(token: gr.OAuthToken | None, values: Values) -> list[Any]:
        return [*await restore(token, values), *votes_values(values[votes.kept])[1:]]

    async def from_browser(token: gr.OAuthToken | None, values: Values) -> list[Any]:
        shown = from_kept(values[parts.kept])
        if not shown.columns:
            drawn = parts.nothing()
            drawn[parts.outputs.index(columns)] = render_columns.empty()
            return drawn
        shown = await asyncio.to_thread(
            weighed, runtime, shown, hardware_of(values), own_token(token, values[page.picker.token])
        )
        return parts.values(gr.skip(), shown, values[setup.distance], gr.skip())

    def weigh_again(token: gr.OAuthToken | None, values: Values) -> list[Any]:
        """Needs and fits once other hardware was chosen."""
        shown: Shown = values[parts.shown]
        hardware = hardware_of(values)
        if not shown.columns or shown.running or shown.hardware == (hardware.title if hardware else ""):
            return [gr.skip()] * 3
        shown = weighed(runtime, shown, hardware, own_token(token, values[page.picker.token]))
        return [render_results.results(shown, values[setup.distance] / 100), render_columns.columns(shown), shown]

    async def act(event: gr.EventData, request: gr.Request, values: Values) -> list[Any]:
        """A press at a column or at the table: a mark, a removal, another view, or a vote."""
        shown, kept, distance, press = values[parts.shown], values[votes.kept], values[setup.distance], pressed(event)
        same = [gr.skip()] * len(votes.outputs)
        run = runs.of(str(request.session_hash))
        try:
            if run is not None and not run.over:  # drawn by who watches it, so that nothing overwrites it
                run.press(press)
                return [*parts.nothing(), *same]
            if not blind.is_vote(press):
                return [*parts.values("", actions.after(shown, press), distance), *same]
            shown, cast = blind.read_vote(shown, press)
        except PaddockError as error:
            return [*parts.nothing(render.error(error)), *same]
        what = cast.winner or (say("equally good") if cast.tie else say("none is good"))
        line = render.said(say("Voted: {what}.", what=what))
        return [*parts.values(line, shown, distance), *votes_values(blind.added(kept, cast))]

    def make_page(values: Values) -> str:
        comparison = values[parts.shown].comparison
        return static_page(comparison, values[setup.distance] / 100) if comparison else ""

    def best_elsewhere(request: gr.Request, token: str | None, values: Values) -> str:
        state = actions.best(values[parts.shown], values[setup.distance] / 100)
        if state is None:
            told = say("No variant is suggested yet: measure the quality, or mark answers right or wrong.")
            return drawn_panel(say("Use elsewhere"), render.said(told))
        return elsewhere(runtime, replace(state, base_prompt=setup.read(values).parts), token)

    def count(values: Values, token: str | None) -> GpuCost | None:
        """Of what Compare would ask now, with any prompt where none is typed yet."""
        shown, listed = setup.read(values), planned(runtime, setup, page.picker, values, token)
        sampling, thinking = read_sampling(named(page.sampling, values)), read_thinking(named(page.thinking, values))
        shown = replace(shown, prompt=shown.prompt or "?")
        return comparison_cost(runtime, prepare(runtime, listed, shown, sampling, None, thinking).request, token)

    picked = page.picker.asked
    options = computing(runtime.settings.slots) | {"show_progress_on": [status]}
    asked = {parts.shown, setup.variants, setup.blind, setup.distance, *setup.fields.values()}
    asked |= {*page.sampling.values(), *page.thinking.values(), *picked}
    compared = [
        trigger(running(make), asked, parts.outputs, **options)
        for trigger, make in (
            (go.click, compare),
            (setup.prompt.submit, compare),
            (follow.click, follow_up),
            (columns.retry, run_again),
        )
    ]
    wire_cost(
        runtime, page.picker, cost, count, asked, [setup.prompt.blur, setup.variants.change, *page.lengths], compared
    )
    kept = {parts.kept, setup.distance, *picked}
    stop.click(stop_comparing, None, None, **AT_ONCE)
    new.click(clear, setup.distance, [setup.prompt, *parts.outputs], **IN_ORDER)
    setup.distance.change(draw_results, [parts.shown, setup.distance], results, **AT_ONCE)
    opening.upload(
        open_file,
        {opening, setup.distance, *picked},
        [setup.variants, setup.prompt, *parts.outputs],
        **IN_ORDER,
        trigger_mode="always_last",
    )
    for place in (columns, results):
        drawn = [*parts.outputs, *votes.outputs]
        place.click(act, {parts.shown, votes.kept, setup.distance}, drawn, **ONE_BY_ONE)
    weighed_for = {parts.shown, setup.distance, *picked}
    shows = page.picked_in("compare")
    follows(shows, weigh_again, weighed_for, [results, columns, parts.shown])
    restored = [coming_back, *parts.outputs]
    page.app.load(open_kept, kept | {votes.kept}, [*restored, *votes.outputs[1:]], **AT_ONCE)
    compared.append(coming_back.change(come_back, kept | {coming_back}, parts.outputs, **IN_ORDER))
    opens(page, files["elsewhere"].click, best_elsewhere, {parts.shown, setup.distance, *setup.fields.values()})
    page_made = signal()
    made = files["page"].click(make_page, {parts.shown, setup.distance}, page_made, **AT_ONCE)
    made.then(None, page_made, None, js=SAVE_PAGE, api_visibility="private")
    for name in FILES:
        files[name].click(None, None, None, js=download("#compare-results", name), api_visibility="private")
    wire_setup(page.app, runtime, setup, page.picker, shows)
    wire_votes(votes)
    return Tab(status, compared, setup.linked, setup.open, setup.state)


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
