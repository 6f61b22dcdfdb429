"""Values that no page of ours posts, to every handler of the page: a sentence, and nothing of them in the log."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import gradio as gr
import pytest

from models.domain.errors import BadPost, InvalidText
from ui.doors.values import answer_in_sentences, check, filled

NOT_OURS: tuple[Any, ...] = (
    *(float("nan"), float("inf"), 10**400, -(10**30)),
    *("half \ud83d", "\0", "\u202esdrawkcab"),
    *(True, [1], {"a": {"b": 1}}, [[["deep"]]]),
    {"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}},
)
OURS = re.compile(r"(nan|inf|object|<class|/etc/passwd|Traceback|validation|type:|\d{20})")


def kinds() -> list[tuple[Any, list[Any], list[Any]]]:
    """A component, what it may hold, and what not."""
    with gr.Blocks():
        return [
            (gr.Textbox(), ["", "text", "\0\u202e", None], [1, True, ["text"], {}]),
            (gr.Slider(), [1, 0.5, -3, None], ["1", True, float("nan"), float("inf"), 10**400, [1]]),
            (gr.Number(), [1, None], ["1", False, float("nan"), {}]),
            (gr.Checkbox(), [True, None], [1, "true", []]),
            (gr.CheckboxGroup(["a"]), [["a"], [], None], ["a", 1, [["a"]], {}]),
            (gr.Radio(["a"]), ["a", None], [True, {}, [{}]]),
            (gr.Dropdown(["a"], multiselect=True), ["a", ["a"], None], [True, {}, [[]]]),
            (gr.HTML(), [None, {"any": ["thing"]}], []),
        ]


def test_a_component_is_posted_what_it_may_hold() -> None:
    for component, good, bad in kinds():
        for value in good:
            check([component], [value])
        for value in bad:
            with pytest.raises(BadPost):
                check([component], [value])
        for text in ("\ud800", ["\udfff"]) if not isinstance(component, gr.Slider | gr.Number | gr.Checkbox) else ():
            with pytest.raises((InvalidText, BadPost)):
                check([component], [text])
    with gr.Blocks():
        kept = gr.HTML()
    check([kept], [{"turns": [[-1, "a whole \U0001f600", "b", "", ""]]}])
    with pytest.raises(InvalidText):  # of a file that was imported, say: no answer could be written with it
        check([kept], [{"turns": [[-1, "half of one \ud83d", "b", "", ""]]}])
    with pytest.raises(BadPost, match="it has 1 values, and 2 are needed"):
        check([gr.Textbox(), gr.Textbox()], ["one"])


def test_a_program_may_leave_out_what_has_a_default() -> None:
    def endpoint(
        request: gr.Request,
        text: str,
        words: tuple[str, ...] = (),
        seed: int | None = None,
    ) -> str:
        return text

    def handler(text: str, more: str = "more") -> str:
        return text + more

    with gr.Blocks() as app:
        gr.api(endpoint)
        gr.Button().click(handler, [gr.Textbox(), gr.Textbox()])
    ours, of_the_page = app.fns.values()
    assert filled(ours, ["a"]) == ["a", (), None]
    assert filled(ours, ["a", ["b"], 1]) == ["a", ["b"], 1]
    assert filled(ours, []) == []
    assert filled(of_the_page, ["a"]) == ["a"]


@pytest.fixture(scope="module")
def page(runtime: Any) -> gr.Blocks:
    from ui.layout import build_app

    return build_app(runtime)


def test_every_handler_of_the_page_says_a_sentence(page: gr.Blocks, capsys: pytest.CaptureFixture[str]) -> None:
    async def post(handler: Any, values: list[Any]) -> str:
        try:
            await page.preprocess_data(handler, values, None)
        except gr.Error as error:
            return str(error.message)
        return ""

    asked = [handler for handler in page.fns.values() if handler.fn and handler.inputs]
    assert len(asked) > 50
    refused = 0
    for handler in asked:
        for at in range(len(NOT_OURS)):
            values = [NOT_OURS[(at + place) % len(NOT_OURS)] for place in range(len(handler.inputs))]
            if answer := asyncio.run(post(handler, values)):
                refused += 1
                assert not OURS.search(answer), (handler.api_name, values, answer)
                assert answer[0].isupper(), answer
                assert answer.count(".") > 1, answer
        if len(filled(handler, [None])) < len(handler.inputs):
            assert "values, and" in asyncio.run(post(handler, [None]))
    assert refused > len(asked)
    assert capsys.readouterr().err == ""


def test_a_handler_that_fails_says_so_and_the_log_says_where(capsys: pytest.CaptureFixture[str]) -> None:
    def fails(text: str) -> str:
        raise KeyError("x" * 5000)

    with gr.Blocks() as app:
        box = gr.Textbox()
        box.submit(fails, box, box)
    answer_in_sentences(app)
    with pytest.raises(gr.Error, match="Something went wrong: KeyError"):
        asyncio.run(app.process_api(next(iter(app.fns.values())), ["secret text"]))
    log = capsys.readouterr().err
    assert "in fails" in log
    assert "secret text" not in log
    assert len(log) < 5000
