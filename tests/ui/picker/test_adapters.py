"""What the adapter components spell, and how strengths follow their names."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.domain.errors import AdapterRefused, BadSpelling, ModelIsAPath
from models.domain.variant import ADAPTERS_MAX, AdapterChoice, Variant
from ui.picker.adapters import follow_names, pair_of, read_variant


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
    for files in (None, [], [config], [weights], [config, config], [config, weights, weights], [config, "a.bin"]):
        with pytest.raises(AdapterRefused, match="two files"):
            pair_of(files)
