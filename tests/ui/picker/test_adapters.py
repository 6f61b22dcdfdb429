"""What the adapter components spell, and how strengths follow their names."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.domain.adapters import FoundAdapter, ListedAdapter
from models.domain.errors import AdapterRefused, BadSpelling, ModelIsAPath
from models.domain.variant import ADAPTERS_MAX, AdapterChoice, Variant
from tests.ui.markup import EVIL, Markup, is_harmless
from ui.picker.adapters import CONFIG, WEIGHTS, adapter_notes, follow_names, hub_line, pair_of, search_result
from ui.picker.picked import Picked


def read_variant(model, mode, names, *strengths):
    return Picked(model, mode, names, strengths).listed


def test_the_components_spell_a_variant():
    variant = read_variant(" m ", "nf4", ["a", "owner/b=main "], 0.5, -1, 1.0, 1.0)
    assert str(variant) == "m@nf4+a:0.5+owner/b=main:-1"
    assert read_variant("m", "", None, 1, 1, 1, 1) == Variant("m")
    assert read_variant("m", None, [], 0.3) == Variant("m")
    assert read_variant("m", "auto", ["a", "b"], 2) == Variant(
        "m", adapters=(AdapterChoice("a", 2.0), AdapterChoice("b"))
    )


@pytest.mark.parametrize(
    ("values", "error"),
    [
        (("", "auto", []), BadSpelling),
        (("m", "auto", ["a", "a"], 1, 1), BadSpelling),
        (("m", "auto", ["a"], 2.1), BadSpelling),
        (("m", "auto", ["a"], None), BadSpelling),
        (("m", "auto", ["a"], float("nan")), BadSpelling),
        (("m", "auto", ["a"], True), BadSpelling),
        (("m", "auto", ["../a"], 1), ModelIsAPath),
        (("m", "auto", list("abcde"), 1, 1, 1, 1), BadSpelling),
    ],
)
def test_what_cannot_be_spelled_is_refused(values, error):
    with pytest.raises(error):
        read_variant(*values)


@given(st.lists(st.sampled_from("abcdef"), unique=True, max_size=ADAPTERS_MAX), st.data())
def test_each_name_keeps_its_strength(before, data):
    strengths = [data.draw(st.floats(-2, 2)) for _ in before]
    after = data.draw(st.permutations([*before, "new"]))
    known = dict(zip(before, strengths, strict=True))
    assert follow_names(after, before, [*strengths, 1.0, 1.0]) == [known.get(name, 1.0) for name in after]


def test_the_two_files_of_an_upload(tmp_path):
    config, weights = str(tmp_path / "adapter_config.json"), str(tmp_path / "x.safetensors")
    assert [str(path) for path in pair_of([weights, config])] == [config, weights]
    folder = ["tokenizer_config.json", CONFIG, "optimizer.safetensors", WEIGHTS, "README.md"]
    assert [str(path) for path in pair_of(folder)] == [CONFIG, WEIGHTS]
    for files in (None, [], [config], [weights], [config, config], [config, weights, weights], [config, "a.bin"]):
        with pytest.raises(AdapterRefused, match="two files"):
            pair_of(files)


LISTED = [
    ListedAdapter("pirate", "Pirate", "o/m", "talks like one", folder="p"),
    ListedAdapter("x", "X", "o/m", folder="x"),
]


def test_notes_say_what_the_picked_ones_do_and_what_is_wrong():
    html = adapter_notes(Variant.parse("m+x+pirate:0.5"), LISTED, ["x: it names no base."])
    assert Markup(html).text == "Pirate talks like onex: it names no base.Compare with its base"
    assert adapter_notes(Variant.parse("m"), LISTED, []) == ""


def test_what_comes_from_outside_is_escaped():
    listed = [ListedAdapter("a", EVIL, "o/m", EVIL, folder="a")]
    html = adapter_notes(Variant.parse("m+a"), listed, [EVIL]) + search_result([], EVIL)
    assert is_harmless(html)
    assert Markup(html).text.count(EVIL) == 4


def test_names_are_short():
    assert hub_line(FoundAdapter("o/n", 1234)) == "o/n · 1,234 downloads"
    assert hub_line(FoundAdapter("o/n", 51234)) == "o/n · 51k downloads"
    assert "2 adapters registered for m" in search_result([FoundAdapter("o/n")] * 2, "m")
