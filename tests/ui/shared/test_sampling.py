"""The sampling controls: drawn from the server's bounds, and read back as they were."""

from dataclasses import fields

import gradio as gr
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.domain.errors import SamplingOutOfBounds
from models.domain.messages import BOUNDS, SEED_MAX, Sampling
from ui.shared.sampling import read_sampling, sampling_controls, sampling_values, within

VALUES = sampling_values(Sampling())


def changed(**values):
    """The values of the controls with some of them changed by name."""
    return VALUES | values


def test_a_control_for_every_value_in_order():
    controls = sampling_controls({})
    assert list(controls) == [field.name for field in fields(Sampling)]
    assert [control.elem_id for control in controls.values()] == [*BOUNDS, "seed", "stop_strings"]
    for slider, bound in zip(controls.values(), BOUNDS.values(), strict=False):
        assert isinstance(slider, gr.Slider)
        shown = (slider.minimum, slider.maximum, slider.step, slider.value)
        assert shown == (bound.low, bound.high, bound.step, bound.default)


def test_untouched_controls_mean_the_defaults():
    assert read_sampling({name: control.value for name, control in sampling_controls({}).items()}) == Sampling()


def test_an_operators_limit_lowers_the_slider_and_its_default():
    (slider, *rest) = sampling_controls({"max_new_tokens": 64}).values()
    assert (slider.maximum, slider.value) == (64, 64)
    assert rest[0].maximum == BOUNDS["temperature"].high
    assert sampling_controls({"max_new_tokens": 10**6})["max_new_tokens"].maximum == BOUNDS["max_new_tokens"].high


def test_a_limit_of_one_token_leaves_a_slider_that_stands_still():
    (slider, *_) = sampling_controls({"max_new_tokens": 1}).values()
    assert (slider.minimum, slider.value, slider.interactive) == (1, 1, False)
    assert slider.maximum > slider.minimum, "a slider has two ends"


def test_a_link_asks_for_no_more_than_the_server_gives():
    errors = []
    assert within(Sampling(temperature=0), 16, errors) == Sampling(16, temperature=0)
    assert not errors, "the link said nothing of the length"
    assert within(Sampling(9), 16, errors) == Sampling(9)
    assert within(Sampling(300), 16, errors) == Sampling(16)
    assert [error.message for error in errors] == ["max_new_tokens is 300, but it must be at most 16 on this server."]


@given(
    st.builds(
        Sampling,
        temperature=st.floats(0, 2),
        seed=st.none() | st.integers(0, SEED_MAX),
        stop=st.lists(st.text(min_size=1, max_size=9) | st.text("\\n\nx", min_size=1, max_size=9), max_size=8),
    )
)
def test_round_trip(sampling):
    assert read_sampling(sampling_values(sampling)) == sampling


@pytest.mark.parametrize(
    ("typed", "stop"),
    [
        ("", ()),
        (None, ()),
        ("\n\n", ()),
        ("a\n\n b \n", ("a", " b ")),
        ("\\n\\nQ:", ("\n\nQ:",)),
    ],
)
def test_stop_strings_are_one_a_line(typed, stop):
    assert read_sampling(changed(stop=typed)).stop == stop


@pytest.mark.parametrize(
    "values",
    [
        {"temperature": None},
        {"temperature": "0.7"},
        {"top_k": 1.5},
        {"seed": -1},
        {"stop": "\n".join("abcdefghi")},
    ],
)
def test_what_a_changed_page_could_post_is_refused(values):
    with pytest.raises(SamplingOutOfBounds):
        read_sampling(changed(**values))
