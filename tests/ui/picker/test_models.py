"""The search for a model: what stands in each line, and that nothing in it can act."""

from dataclasses import replace

import pytest

from models.domain.memory.hardware import load_hardware
from tests.ui.markup import EVIL, Markup, is_harmless
from tests.ui.picker.test_card import MODEL, PLANS
from ui.picker.combobox import Free, Option, combobox
from ui.picker.models import model_box
from ui.picker.picker import hardware_box


@pytest.mark.parametrize(
    ("change", "aside", "badges"),
    [
        ({}, "600 MB ✓", "chat · 135M · MIT"),
        ({"kind": "base", "gated": True}, "600 MB ✓", "base · 135M · MIT · gated"),
        ({"without_hub": True}, "600 MB ✓", "chat · 135M · MIT · works offline"),
        (
            {"gated": True, "without_hub": True, "on_this_machine": ("gguf",)},
            "600 MB ✓",
            "chat · 135M · MIT · on this machine",
        ),
        ({"plans": {"nf4": replace(PLANS["nf4"], fits=False)}}, "600 MB ✗", "chat · 135M · MIT"),
        ({"plans": {"nf4": replace(PLANS["nf4"], tight=True)}}, "600 MB ~", "chat · 135M · MIT"),
        ({"plans": {}, "auto": ""}, "not available", "chat · 135M · MIT"),
    ],
)
def test_a_line_names_what_stands_in_the_way(change, aside, badges):
    drawn = Markup(model_box([replace(MODEL, **change)], "")).text
    assert f"Model{aside}{badges}" in drawn


def test_lines_are_grouped_and_the_picked_one_is_marked():
    drawn = model_box([MODEL, replace(MODEL, key="n", title="Other"), replace(MODEL, key="o", family="G")], "n")
    assert drawn.count('class="group"') == 2
    assert drawn.count('aria-selected="true"') == 1
    assert 'value="Other"' in drawn
    assert 'value="owner/name"' in model_box([MODEL], "owner/name"), "what is not listed stands there as it is"


def test_nothing_in_a_box_can_act():
    evil = Option(EVIL, EVIL, EVIL, EVIL, EVIL, EVIL)
    assert is_harmless(combobox("x", EVIL, [evil], EVIL, Free(EVIL, EVIL)))


def test_hardware_is_this_machine_a_machine_of_the_table_or_typed():
    assert 'value="This machine"' in hardware_box("")
    key, there = next(iter(load_hardware().items()))
    assert f'value="{there.title}"' in hardware_box(key)
    assert 'value="GPU with 24 GB"' in hardware_box("24gb")
    assert 'data-picked="24gb"' in hardware_box("24gb")
