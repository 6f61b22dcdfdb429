"""Style sheets as Gradio reads them: it cuts every selector at each comma, also at one in parentheses."""

import re
from pathlib import Path

import pytest

import ui

SHEETS = sorted(Path(ui.__file__).parent.rglob("*.css"))


@pytest.mark.parametrize("sheet", SHEETS, ids=lambda path: path.name)
def test_no_selector_has_a_comma_in_parentheses(sheet):
    text = re.sub(r"/\*.*?\*/", "", sheet.read_text(encoding="utf-8"), flags=re.DOTALL)
    selectors = re.findall(r"[^{};]+(?={)", text)
    assert len(selectors) > 5
    assert [one.strip() for one in selectors if re.search(r":\w[\w-]*\([^()]*,", one)] == []
