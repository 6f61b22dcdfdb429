"""A link carries the page's state and brings it back; whatever is in a link, it never breaks the page."""

import base64
import random
import zlib
from dataclasses import fields, replace
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.domain.catalog import load_catalog
from models.domain.errors import TooLongForLink
from models.domain.messages import BOUNDS, SEED_MAX, STOP_STRINGS_MAX, Sampling
from models.domain.request import LONGEST_LABEL, BasePrompt
from models.domain.thinking import BUDGET, SWITCHES, Thinking
from models.domain.variant import AdapterChoice, Variant
from ui.layout import TABS
from ui.shared.url import LONGEST, MOST_VARIANTS, CompareOptions, PageState, read, restored, write

NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,20}", fullmatch=True)
VARIANTS = st.builds(
    Variant,
    NAMES | st.builds("{}/{}={}".format, NAMES, NAMES, NAMES),
    st.sampled_from(["auto", "nf4", "gguf"]),
    st.lists(st.builds(AdapterChoice, NAMES, st.floats(-2, 2)), max_size=2, unique_by=lambda a: a.name).map(tuple),
)
STOPS = st.lists(st.text(min_size=1, max_size=9) | st.text("\\n\nx", min_size=1, max_size=9), max_size=STOP_STRINGS_MAX)
SAMPLINGS = st.builds(
    Sampling,
    **{
        name: st.integers(int(b.low), int(b.high)) if b.whole else st.floats(b.low, b.high)
        for name, b in BOUNDS.items()
    },
    seed=st.none() | st.integers(0, SEED_MAX),
    stop=STOPS,
)
COMPARED = st.lists(VARIANTS, max_size=6).map(tuple)
THINKINGS = st.builds(Thinking, st.sampled_from(SWITCHES), st.none() | st.integers(1, int(BUDGET.high)))
LABELS = st.text(max_size=LONGEST_LABEL)
PARTS = st.builds(BasePrompt, st.text(min_size=1), LABELS, LABELS)
SWITCHED = {f.name: st.booleans() for f in fields(CompareOptions) if f.type == "bool"}
OPTIONS = st.builds(CompareOptions, text=st.text(min_size=1), distance=st.integers(1, 50), **SWITCHED)
STATES = st.builds(
    PageState,
    st.none() | VARIANTS,
    SAMPLINGS,
    st.text(),
    st.text(),
    st.sampled_from(["", *TABS]),
    COMPARED,
    st.none() | VARIANTS,
    thinking=st.none() | THINKINGS,
    base_prompt=st.none() | PARTS,
    options=st.none() | OPTIONS,
)


def query(text):
    return dict(parse_qsl(text, keep_blank_values=True))


@given(STATES)
def test_round_trip(state):
    again, errors = read(query(write(state)), TABS)
    assert errors == []
    usual = {"sampling": again.sampling or Sampling(), "thinking": again.thinking or Thinking()}
    usual |= {"base_prompt": again.base_prompt or BasePrompt(), "options": again.options or CompareOptions()}
    kept = {"base_prompt": state.base_prompt or BasePrompt(), "options": state.options or CompareOptions()}
    asked = state.thinking or Thinking()
    unsaid = asked.budget == BUDGET.default  # the controls show it anyway
    kept["thinking"] = replace(asked, budget=None) if unsaid else asked
    assert replace(again, **usual) == replace(state, **kept)


@given(st.dictionaries(st.sampled_from([*BOUNDS, "seed", "stop", "variant", "system", "prompt", "tab"]), st.text()))
def test_nothing_in_a_link_raises(pairs):
    state, errors = read(pairs, TABS)
    assert state.tab in ("", *TABS)
    assert len(errors) <= 2
    write(state)


def test_a_default_page_has_an_empty_address():
    assert write(PageState()) == ""
    assert write(PageState(sampling=Sampling())) == ""
    assert read({}) == (PageState(), [])


def test_what_a_link_looks_like():
    state = PageState(
        Variant.parse("m@nf4+pirate:0.8"), Sampling(temperature=0, seed=7), prompt="a b&c", tab="complete"
    )
    assert write(state) == "variant=m%40nf4%2Bpirate%3A0.8&temperature=0&seed=7&prompt=a+b%26c&tab=complete"


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("variant", "a b", "not a variant"),
        ("variant", "../etc/passwd", "path"),
        ("temperature", "hot", "temperature is hot"),
        ("temperature", "3", "from 0 to 2"),
        ("top_k", "1.5", "whole number"),
        ("seed", "-1", "seed is -1"),
        ("max_new_tokens", "1e99", "max_new_tokens"),
        ("stop", "\n".join("abcdefghi"), "9 texts"),
    ],
)
def test_a_bad_value_is_explained_and_the_rest_is_used(name, value, words):
    state, errors = read({"prompt": "Hello", "tab": "complete", name: value}, TABS)
    (error,) = errors
    assert words in str(error)
    assert (state.prompt, state.tab, state.variant, state.sampling) == ("Hello", "complete", None, None)
    assert len(str(error)) < 400


def test_the_variants_of_a_comparison():
    variants = tuple(map(Variant.parse, ("m@nf4", "m+a:0.5", "o/n=r")))
    state = PageState(tab="compare", variants=variants, reference=variants[1])
    assert write(state) == "variants=m%40nf4%2Cm%2Ba%3A0.5%2Co%2Fn%3Dr&reference=m%2Ba%3A0.5&tab=compare"
    state, errors = read({"variants": "m@nf4,,a b,n,../x", "reference": "a b"})
    assert (state.variants, state.reference) == ((Variant.parse("m@nf4"), Variant.parse("n")), None)
    assert len(errors) == 3
    assert len(read({"variants": ",".join(f"m{n}" for n in range(99))})[0].variants) == MOST_VARIANTS


def test_two_bad_values_are_both_explained():
    assert len(read({"variant": "a b", "top_p": "x"})[1]) == 2


@pytest.mark.parametrize("tab", ["", "compare2", "CHAT", "<b>"])
def test_an_unknown_tab_is_the_first(tab):
    assert read({"tab": tab}, TABS)[0].tab == ""


def test_a_text_is_carried_whole_or_not_at_all():
    long = "x" * (LONGEST + 1)
    state, errors = read({"prompt": long, "system": long})
    assert (state.prompt, state.system) == ("", "")
    assert ["4,001 characters" in str(error) for error in errors] == [True, True]
    noise = "".join(random.Random(1).choices("abcdefghijklmnop", k=9000))
    with pytest.raises(TooLongForLink, match=r"The packed system prompt has .* characters, and a link carries at most"):
        write(PageState(system=noise))
    with pytest.raises(TooLongForLink):
        write(PageState(system="x" * 200_000))


def test_a_long_text_is_packed_and_a_damaged_one_is_said():
    text = "The wheel is older than the road. " * 300
    written = query(write(PageState(prompt=text)))
    assert [*written] == ["prompt_z"]
    assert len(written["prompt_z"]) < 200
    assert read(written)[0].prompt == text
    for spoiled in (written["prompt_z"][:-9], "%%%", "eJw"):
        state, errors = read({"prompt_z": spoiled})
        assert state.prompt == ""
        assert [str(error)[:38] for error in errors] == ["The prompt in the link cannot be read."]


def test_what_was_brought_is_said_and_a_variant_alone_is_not():
    assert restored(PageState(Variant.parse("m"), tab="compare", hardware="16")) == ""
    said = restored(PageState(prompt="a", options=CompareOptions(blind=True)))
    assert said == "From the link: the prompt, the options of the comparison."


def test_half_a_character_from_a_page_does_not_break_the_link():
    assert write(PageState(prompt="a\ud83d")) == "prompt=a%3F"


def test_a_plus_that_was_not_escaped_is_still_an_adapter():
    state, errors = read({"variant": "m@nf4 pirate:0.8 json", "variants": "m@nf4,m@nf4 json"})
    assert not errors
    assert str(state.variant) == "m@nf4+pirate:0.8+json"
    assert [str(variant) for variant in state.variants] == ["m@nf4", "m@nf4+json"]
    state, errors = read({"variant": "smollm2-135m-instruct pirate", "variants": "owner/name json"}, (), load_catalog())
    assert not errors
    assert str(state.variant) == "smollm2-135m-instruct+pirate"
    assert [str(variant) for variant in state.variants] == ["owner/name+json"]


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), max_size=6).map(tuple))
def test_a_conversation_comes_back_as_it_was(conversation):
    again, errors = read(query(write(PageState(conversation=conversation))))
    assert (again.conversation, errors) == (conversation, [])


def packed(text):
    return base64.urlsafe_b64encode(zlib.compress(text.encode())).decode()


@pytest.mark.parametrize(
    "text",
    [
        "x",
        "eJw=",
        packed("[1]"),
        packed("[["),
        packed("[" * 9000),
        packed('["' + "a" * 10**6 + '"]'),
    ],
)
def test_what_is_no_conversation_is_said_and_left_out(text):
    state, errors = read({"conversation": text, "prompt": "Hi"})
    assert (state.conversation, state.prompt) == ((), "Hi")
    assert "conversation" in str(errors[0])


def test_a_conversation_that_is_too_long_for_a_link_is_said():
    words = tuple(f"{number * 7919 % 104729:x}" for number in range(4000))
    with pytest.raises(TooLongForLink, match="packed conversation"):
        write(PageState(conversation=words))
