"""The page's words: in both languages, and every key that is used exists."""

import ast
from pathlib import Path

import pytest

from models.domain.messages import BOUNDS
from ui.shared.text import EN, I18N, ZH, t

UI = Path(__file__).parents[3] / "ui"


def used_keys():
    """(file, key) of each t("...") in the page's sources."""
    for path in sorted(UI.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            is_t = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "t"
            if is_t and isinstance(node.args[0], ast.Constant):
                yield path.name, node.args[0].value


def test_both_languages_reach_the_browser_and_no_text_is_empty():
    assert I18N.translations == {"en": EN, "zh": ZH, "zh-CN": ZH}
    assert [key for key in EN if not (EN[key].strip() and ZH[key].strip())] == []


def test_every_used_key_exists():
    used = list(used_keys())
    assert len(used) > 20, "the search finds them"
    assert [(file, key) for file, key in used if key not in EN] == []


@pytest.mark.parametrize("name", BOUNDS)
def test_every_sampling_value_has_a_label(name):
    assert EN[name]
    assert ZH[name]


def test_an_unknown_key_is_a_programmers_mistake():
    with pytest.raises(AssertionError, match="no_such_key"):
        t("no_such_key")


def test_chinese_is_chinese():
    names_of_their_own = {key for key in EN if EN[key] == ZH[key]}
    assert names_of_their_own <= {"top_p", "top_k", "min_p"}
