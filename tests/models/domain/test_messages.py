"""Sampling bounds, posted conversations, and the wire format of a stream."""

import json
import math
from dataclasses import replace

import pytest

from models.domain.errors import BadHistory, SamplingOutOfBounds
from models.domain.messages import (
    BOUNDS,
    SEED_MAX,
    STOP_STRING_LENGTH,
    STOP_STRINGS_MAX,
    Delta,
    Progress,
    Rendered,
    Sampling,
    Thought,
    Usage,
    from_wire,
    read_history,
    to_wire,
)

# --- sampling -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "bound"), BOUNDS.items())
def test_bounds_themselves_are_accepted(name, bound):
    for value in (bound.low, bound.high, bound.default):
        accepted = getattr(Sampling(**{name: value}), name)
        assert accepted == value
        assert type(accepted) is (int if bound.whole else float)


@pytest.mark.parametrize("name", BOUNDS)
@pytest.mark.parametrize(
    "value", [True, False, None, "1", "", [1], {}, math.nan, math.inf, -math.inf, -1, 1e9, 10**400, -(10**400), 1j]
)
def test_values_of_wrong_type_or_size_are_refused(name, value):
    with pytest.raises(SamplingOutOfBounds) as caught:
        Sampling(**{name: value})
    assert caught.value.facts["name"] == name
    assert len(caught.value.facts["value"]) <= 40


@pytest.mark.parametrize(("name", "bound"), BOUNDS.items())
def test_just_outside_is_refused(name, bound):
    for value in (math.nextafter(bound.low, -math.inf), math.nextafter(bound.high, math.inf)):
        with pytest.raises(SamplingOutOfBounds):
            Sampling(**{name: value})


@pytest.mark.parametrize("name", [name for name, bound in BOUNDS.items() if bound.whole] + ["seed"])
def test_whole_numbers(name):
    assert getattr(Sampling(**{name: 5.0}), name) == 5
    with pytest.raises(SamplingOutOfBounds, match="whole number"):
        Sampling(**{name: 1.5})


@pytest.mark.parametrize("seed", [None, 0, SEED_MAX])
def test_seed(seed):
    assert Sampling(seed=seed).seed == seed


@pytest.mark.parametrize("seed", [-1, SEED_MAX + 1, True, "7", math.nan, 10**400])
def test_bad_seed(seed):
    with pytest.raises(SamplingOutOfBounds):
        Sampling(seed=seed)


@pytest.mark.parametrize("stop", [(), ["\n"], ("a" * STOP_STRING_LENGTH,), ["x"] * STOP_STRINGS_MAX])
def test_stop_strings(stop):
    assert Sampling(stop=stop).stop == tuple(stop)


@pytest.mark.parametrize(
    "stop",
    [
        "text",
        None,
        {"a"},
        [""],
        [1],
        ["a" * (STOP_STRING_LENGTH + 1)],
        ["x"] * (STOP_STRINGS_MAX + 1),
    ],
)
def test_bad_stop_strings(stop):
    with pytest.raises(SamplingOutOfBounds):
        Sampling(stop=stop)


def test_greedy():
    assert Sampling(temperature=0).greedy
    assert not Sampling().greedy


def test_defaults_lie_on_the_sliders():
    for bound in BOUNDS.values():
        assert bound.low <= bound.default <= bound.high
        steps = (bound.default - bound.low) / bound.step
        assert steps == pytest.approx(round(steps))


# --- posted conversations -----------------------------------------------------------------------------------


def user(content="hi", **more):
    return {"role": "user", "content": content, **more}


def assistant(content="hello", **more):
    return {"role": "assistant", "content": content, **more}


NOTE = assistant("12 tok/s", metadata={"title": "Usage"})


@pytest.mark.parametrize(
    ("posted", "texts"),
    [
        ([], []),
        ((), []),
        ([user(), assistant(), user("bye")], ["hi", "hello", "bye"]),
        ([user([{"type": "text", "text": "a"}, "b"])], ["ab"]),
        ([user({"type": "text", "text": "a"})], ["a"]),
        ([user([])], [""]),
        ([user(), assistant(), NOTE, user("bye")], ["hi", "hello", "bye"]),
        ([user(metadata=None), assistant(metadata={}), user(metadata={"title": ""})], ["hi", "hello", "hi"]),
        ([user(metadata="title"), assistant(metadata=["title"])], ["hi", "hello"]),
    ],
)
def test_history_is_read(posted, texts):
    messages = read_history(posted)
    assert [message.content for message in messages] == texts
    assert [message.role for message in messages] == ["user", "assistant", "user"][: len(texts)]


@pytest.mark.parametrize(
    ("posted", "reason"),
    [
        (None, "not a list"),
        ("hi", "not a list"),
        (["hi"], "not an object"),
        ([{"role": "system", "content": "obey"}], "role “system”"),
        ([user(), assistant(), {"role": "system", "content": "obey"}], "message 3"),
        ([{"role": ["user"], "content": "hi"}], "role"),
        ([{"role": "x" * 999, "content": "hi"}], "x" * 40 + "”"),
        ([{"content": "hi"}], "role “None”"),
        ([{"role": "user"}], "not text"),
        ([user(7)], "not text"),
        ([user([{"type": "text", "text": 7}])], "not text"),
        ([user([{"type": "file", "file": {"path": "/etc/passwd"}}])], "not text"),
        ([user(["a", ["b"]])], "not text"),
        ([user(), user()], "two user messages"),
        ([user(), assistant(), assistant()], "two assistant messages"),
        ([assistant()], "starts with an answer"),
    ],
)
def test_bad_history_is_refused(posted, reason):
    with pytest.raises(BadHistory) as caught:
        read_history(posted)
    assert reason in caught.value.message
    assert len(caught.value.message) < 200


# --- the wire -----------------------------------------------------------------------------------------------

USAGE = Usage("m@nf4", "transformers", 12, 3, 40, 4096, 0.2, 300.5, 19.25, 2.5, 0.5, 10**9, 7, "stop_string")


@pytest.mark.parametrize(
    "event",
    [
        Delta(""),
        Delta("héllo 🐎\n", USAGE),
        Delta("x", Usage(finish="cancelled")),
        Progress("waiting"),
        Progress("download", 10.0, 20.0, "bytes", "model.safetensors"),
        Rendered("<|im_start|>user\nhi"),
        Thought("So", "<think>So", replace(USAGE, thought_tokens=2, thought_s=0.5, thinking="open"), row=1),
    ],
)
def test_events_cross_the_wire(event):
    assert from_wire(json.loads(json.dumps(to_wire(event)))) == event
