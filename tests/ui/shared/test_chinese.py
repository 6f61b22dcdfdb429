"""Every sentence that the page says has a Chinese one with the same values in it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from string import Formatter

from ui.shared.language import chinese

UI = Path(__file__).parents[3] / "ui"


def said() -> Iterator[tuple[str, str]]:
    """Where `say` is called, and the English that it is given."""
    for path in UI.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "say" and node.args:
                text = node.args[0]
                if isinstance(text, ast.Constant):
                    yield f"{path.relative_to(UI)}:{node.lineno}", text.value


def values(text: str) -> set[str]:
    """The names of the values in a template."""
    return {name for _, name, _, _ in Formatter().parse(text) if name is not None}


def test_every_sentence_has_a_chinese_one():
    lacking = {where: text for where, text in said() if text not in chinese()["page"]}
    assert not lacking


def test_the_values_are_the_same():
    wrong = {english for english, spoken in chinese()["page"].items() if values(english) != values(spoken)}
    assert not wrong
