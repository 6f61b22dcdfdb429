"""Whatever the models say (errors, reasons, warnings, figures) has a Chinese form, found by its English."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from string import Formatter

import pytest

from models.domain import errors
from models.domain.errors import (
    ContextExceeded,
    DoesNotFit,
    EngineFailed,
    GpuBusy,
    ModeNotPossible,
    PaddockError,
    error_kinds,
)
from models.domain.memory.plan import LABELS
from models.domain.quantization import MODES, REMOTE
from models.domain.results.figures import ENDINGS, FIGURES, INSIDE
from models.engines.chat_template import FOLDED, LEFT_OUT, NO_LEVELS, NO_THINKING, NOT_OFF, QUESTION_LEFT_OUT
from models.studies.quality import CONVERTED
from ui.shared import language
from ui.shared.language import chinese, error_sentences, in_chinese
from ui.shared.render import FINISHES, STAGES

ROOT = Path(__file__).parents[3]
KINDS = {code: kind for code, kind in error_kinds().items() if kind.__module__ == errors.__name__}
WORDS = {"reason", "suggestion", "detail", "during", "wanted", "what"}  # facts that are words, not names
ENGLISH = re.compile(r"[A-Za-z]{2,}(?:[ ,]+[A-Za-z]{2,}){2,}")  # three words
VALUE = "9"


@pytest.fixture
def chinese_visitor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(language, "language", lambda: language.CHINESE)


def names(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name is not None}


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_every_error_has_two_sentences_with_its_facts(kind: type[PaddockError]) -> None:
    for part in ("sentence", "next_step"):
        english, spoken = getattr(kind, part), chinese()[part][kind.code]
        assert names(spoken) == names(english)
        assert spoken.endswith(("。", "}", "？"))


# --- what the models put into them --------------------------------------------------------------------------


def templates(node: ast.expr | None) -> Iterator[str]:
    """The texts that an expression can be, each value in them replaced."""
    match node:
        case ast.Constant(value=str(text)):
            yield text
        case ast.JoinedStr(values=parts):
            for choice in product(*([*templates(part)] for part in parts)):
                yield "".join(choice)
        case ast.FormattedValue(value=ast.IfExp() as choice):
            yield from templates(choice)
        case ast.FormattedValue():
            yield VALUE
        case ast.IfExp(body=one, orelse=other):
            yield from templates(one)
            yield from templates(other)


def said() -> Iterator[tuple[str, str]]:
    """Where the code gives a reason, a suggestion and the like, and the text."""
    kinds = {kind.__name__ for kind in KINDS.values()} | {"Progress"}
    for path in [*ROOT.glob("models/**/*.py"), *ROOT.glob("ui/**/*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            found: list[ast.expr | None] = []
            match node:
                case ast.Call(func=ast.Name(id=name), keywords=given) if name in kinds:
                    found = [word.value for word in given if word.arg in WORDS]
                case ast.Call(func=ast.Name(id="translated" | "computed"), keywords=given):
                    found = [word.value for word in given if word.arg == "during"]
                case ast.Call(func=ast.Name(id="refuse") | ast.Attribute(attr="refused"), args=[reason]):
                    found = [reason]
                case ast.Assign(targets=[ast.Name(id=name)], value=value) if (
                    name in WORDS - {"what", "detail"} and "ui" not in path.parts
                ):
                    found = [value]
                case ast.FunctionDef(name="why_not" | "_why_not" | "_why_none" | "_mismatch" | "warning"):
                    found = [inner.value for inner in ast.walk(node) if isinstance(inner, ast.Return)]
            for value in found:
                for text in templates(value):
                    yield f"{path.relative_to(ROOT)}:{node.lineno}", text


def test_every_reason_has_a_chinese_form() -> None:
    texts = {text: where for where, text in said() if re.search("[A-Za-z]{2}", text)}
    assert len(texts) > 200  # the walk finds them
    lacking = {
        where: text for text, where in texts.items() if in_chinese(text) == text or ENGLISH.search(in_chinese(text))
    }
    assert not lacking


def test_modes_plans_and_figures_are_explained_in_chinese(chinese_visitor: None) -> None:
    texts = [mode.summary for mode in (*MODES.values(), REMOTE) if mode.name != "int8"]
    texts += [
        *LABELS.values(),
        *ENDINGS.values(),
        INSIDE,
        *STAGES.values(),
        *FINISHES.values(),
        FOLDED,
        LEFT_OUT,
        QUESTION_LEFT_OUT,
        NO_THINKING,
        NOT_OFF,
        NO_LEVELS,
        CONVERTED,
    ]
    for figure in FIGURES:
        texts += filter(None, (figure.heading, figure.meaning, figure.explained, figure.bars))
    assert not [text for text in texts if language.say(text) == text]


def test_the_values_of_a_form_are_the_same() -> None:
    assert not {english for english, spoken in chinese()["domain"].items() if names(english) != names(spoken)}


# --- how they are found -------------------------------------------------------------------------------------


def test_a_fact_is_said_in_chinese_and_a_name_is_not(chinese_visitor: None) -> None:
    error = ModeNotPossible(model="prompt", mode="awq", reason="it needs gptqmodel to be installed", possible="auto")
    assert error_sentences(error) == ("prompt 在这里不能以 awq 运行：需要安装 gptqmodel。", "可用：auto。")
    assert error_sentences(ContextExceeded(prompt_tokens=12345, context=4096))[0].startswith("提示词有 12,345 个词元")


def test_an_error_that_was_kept_as_text_is_found_again(chinese_visitor: None) -> None:
    error = DoesNotFit(
        variant="m@bf16", needed="5 GB", device="main memory", free="1 GB", suggestion="What fits: m@nf4."
    )
    assert language.say(str(error)) == "".join(error_sentences(error))
    for instead, said in (("m@gguf", "m@gguf"), ("", "gguf 变体")):  # in a column of a comparison, too
        told = "".join(error_sentences(refused := GpuBusy("No GPU was available", instead)))
        assert language.say(str(refused)) == told
        assert f"或选择 {said}：" in told


@pytest.mark.parametrize("text", ["", "anything else", "{braces} of a {visitor", "x" * 5000])
def test_what_is_not_known_stays_as_it_is(chinese_visitor: None, text: str) -> None:
    assert language.say(text) == text
    assert text in error_sentences(EngineFailed(detail=text))[0]
