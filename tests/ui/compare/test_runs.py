"""A run belongs to the server: who may watch it, when it ends without a page, and what is pressed meanwhile."""

import asyncio
from dataclasses import replace

import pytest

from models.domain.errors import BadComparison
from models.domain.messages import Delta, Message, Usage
from models.domain.request import CompareRequest
from models.domain.results.comparison import Compared, Comparison, Step
from models.domain.variant import Variant
from ui.compare import runs as runs_module
from ui.compare.runs import MOST_LEFT, Run, Runs
from ui.compare.state import Shown, begin, ended

ASKED = (Message("user", "Why?"),)
VARIANTS = (Variant.parse("m@bf16"), Variant.parse("m@nf4"))
REQUEST = CompareRequest(VARIANTS, (ASKED, ASKED))


def column(name, answer="Because."):
    turns = (*ASKED, Message("assistant", answer))
    return Compared(name, name, turns=turns, answer=answer, usage=Usage(name, new_tokens=2, finish="stop"))


def whole(*columns):
    return Comparison(("Why?",), columns, "2026-01-02T03:04:05+00:00", reference="m@bf16")


@pytest.fixture
def gate(monkeypatch):
    """Comparisons that answer with one column, wait until they may go on or are stopped, and then end."""
    may_go_on = asyncio.Event()

    async def comparing(runtime, request, stop, token):
        first = str(request.variants[0])
        yield Step(0, Delta("Because.", Usage(first, new_tokens=2, finish="stop")))
        yield Step(0, column(first))
        while not may_go_on.is_set():
            await asyncio.sleep(0.005)
            if stop.is_set():
                return
        yield whole(*(column(str(variant)) for variant in request.variants))

    monkeypatch.setattr(runs_module, "comparing", comparing)
    return may_go_on


def started(runs, session="page", run=None):
    run = run or Run(begin(REQUEST), REQUEST)
    runs.start(session, run, None, None)
    runs.enter(session, run)
    return run


async def moment(seconds=0.03):
    await asyncio.sleep(seconds)


def test_a_page_that_comes_back_finds_its_run_and_one_that_does_not_ends_it(gate):
    async def story():
        runs = Runs(away_s=0.15)
        run = started(runs)
        await moment()
        runs.leave("page", run)
        assert runs.of("page") is None
        assert runs.find("another id") is None
        assert runs.find(run.id) is run
        await moment(0.1)
        runs.attach("reloaded", run)
        runs.enter("reloaded", run)
        await moment(0.2)
        assert not run.halt.is_set()
        runs.leave("reloaded", run)
        await moment(0.2)
        assert run.halt.is_set()
        assert run.over
        assert runs.find(run.id) is None
        assert (run.shown.stopped, run.shown.columns[0].known.answer) == (True, "Because.")

    asyncio.run(story())


def test_another_run_or_clear_ends_it_unless_another_page_watches(gate):
    async def story():
        runs = Runs(away_s=60)
        run = started(runs)
        runs.attach("second tab", run)
        runs.enter("second tab", run)
        after = started(runs)
        runs.leave("page", run)
        assert not run.halt.is_set()
        runs.give_up("second tab")
        runs.leave("second tab", run)
        assert run.halt.is_set()
        runs.give_up("page")
        assert after.halt.is_set()
        assert runs.find(after.id) is None

    asyncio.run(story())


def test_without_a_background_it_ends_with_its_page_and_few_are_left_alone(gate):
    async def story():
        at_once = Runs(away_s=0)
        run = started(at_once)
        at_once.leave("page", run)
        assert run.halt.is_set()
        runs = Runs(away_s=60)
        left = [started(runs, f"page {number}") for number in range(MOST_LEFT + 1)]
        for number, one in enumerate(left):
            runs.leave(f"page {number}", one)
        assert [one.halt.is_set() for one in left] == [True, *[False] * MOST_LEFT]

    asyncio.run(story())


def test_what_is_pressed_while_it_runs_stays(gate):
    async def story():
        run = started(Runs(away_s=60))
        await moment()
        tables = run.tables
        run.press("right-0-0")
        run.press("sort-name")
        run.press("raw")
        assert run.tables == tables + 3
        with pytest.raises(BadComparison):
            run.press("right-1-0")
        gate.set()
        await moment()
        assert run.over
        assert [one.known.marks for one in run.shown.columns] == [("right",), ()]
        assert (run.shown.view.raw, run.shown.view.sorted_by) == (True, "name")

    asyncio.run(story())


@pytest.mark.parametrize("stopped", [False, True])
def test_marks_of_other_columns_are_kept_while_one_runs_again(gate, stopped):
    async def story():
        shown = ended(Shown(), whole(column("m@bf16", "Old."), column("m@nf4", "Other.")))
        run = started(Runs(away_s=60), run=Run(shown, replace(REQUEST, variants=VARIANTS[:1]), place=0))
        await moment()
        run.press("wrong-1-0")
        run.halt.set() if stopped else gate.set()
        await moment()
        first, second = run.shown.columns
        assert first.known.answer == ("Old." if stopped else "Because.")
        assert first.problem == ("Stopped." if stopped else "")
        assert second.known.marks == ("wrong",)
        assert run.shown.comparison.columns[1].marks == ("wrong",)

    asyncio.run(story())
