"""What a program posts becomes the request that the page would make, and what is not served is named."""

from __future__ import annotations

import json

import pytest

from models.domain.errors import (
    BadBody,
    BadHistory,
    BadSchema,
    BadSpelling,
    NotServed,
    PaddockError,
    SamplingOutOfBounds,
)
from models.domain.json_schema import ANY_OBJECT
from models.domain.messages import Message
from models.domain.settings import Settings
from models.domain.variant import Variant
from ui.openai.asked import read_chat, read_completion, read_messages

SETTINGS = Settings(max_new_tokens=300)
HELLO = [{"role": "user", "content": "Hello"}]


DEEP: dict = {}
for _ in range(40):
    DEEP = {"items": DEEP}


def of_schema(schema):
    return {"type": "json_schema", "json_schema": {"name": "any", "schema": schema}}


def chat(**body):
    return read_chat({"messages": HELLO, **body}, SETTINGS)


def test_a_plain_request_has_the_servers_defaults():
    asked = chat()
    (request,) = asked.requests
    assert request.variant == Variant.parse(SETTINGS.default_variant)
    assert request.messages == (Message("user", "Hello"),)
    assert (request.sampling.max_new_tokens, request.sampling.temperature) == (300, 0.7)
    assert (asked.stream, asked.include_usage) == (False, False)


def test_every_parameter_reaches_the_sampling():
    body = {"temperature": 0.5, "top_p": 0.9, "top_k": 7, "min_p": 0.1, "repetition_penalty": 1.1, "stop": "END"}
    asked = chat(model="smollm2-135m-instruct@nf4+pirate", max_completion_tokens=9, seed=4, n=2, stream=True, **body)
    assert [request.sampling.seed for request in asked.requests] == [4, 5]
    for request in asked.requests:
        assert str(request.variant) == "smollm2-135m-instruct@nf4+pirate"
        assert request.sampling.max_new_tokens == 9
        assert request.sampling.stop == ("END",)
        assert {name: getattr(request.sampling, name) for name in body if name != "stop"} == {
            name: value for name, value in body.items() if name != "stop"
        }
    assert asked.stream


@pytest.mark.parametrize(("effort", "switch"), [("none", "off"), ("minimal", "low"), ("high", "high"), (None, "auto")])
def test_reasoning_effort_is_the_thinking_switch(effort, switch):
    (request,) = chat(reasoning_effort=effort, thinking_budget=50).requests
    assert (request.thinking.switch, request.thinking.budget) == (switch, 50)


def test_system_messages_become_one_and_neighbours_are_joined():
    posted = [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "One"}]},
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "Two"},
        {"role": "assistant", "content": "Three"},
        {"role": "user", "content": "Four"},
    ]
    assert read_messages(posted) == (
        Message("system", "Be brief.\n\nBe kind."),
        Message("user", "One\n\nTwo"),
        Message("assistant", "Three"),
        Message("user", "Four"),
    )


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({"messages": "Hello"}, BadBody),
        ({"messages": [{"role": "tool", "content": "4"}]}, BadHistory),
        ({"messages": [*HELLO, {"role": "assistant", "content": "Hi"}]}, BadBody),
        ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]}, BadHistory),
        ({"messages": ["Hello"]}, BadBody),
        ({"messages": HELLO, "n": 5}, BadBody),
        ({"messages": HELLO, "n": 0}, BadBody),
        ({"messages": HELLO, "temperature": 9}, SamplingOutOfBounds),
        ({"messages": HELLO, "temperature": "hot"}, BadBody),
        ({"messages": HELLO, "seed": -1}, SamplingOutOfBounds),
        ({"messages": HELLO, "stop": ["a"] * 9}, SamplingOutOfBounds),
        ({"messages": HELLO, "model": "../../etc/passwd"}, PaddockError),
        ({"messages": HELLO, "model": "a b c"}, BadSpelling),
        ({"messages": HELLO, "tools": [{"type": "function"}]}, NotServed),
        ({"messages": HELLO, "logprobs": True, "top_logprobs": 21}, BadBody),
        ({"messages": HELLO, "top_logprobs": 2}, BadBody),
        ({"messages": HELLO, "response_format": {"type": "xml"}}, BadBody),
        ({"messages": HELLO, "response_format": {"type": "json_schema"}}, BadBody),
        ({"messages": HELLO, "response_format": of_schema([])}, BadSchema),
        ({"messages": HELLO, "response_format": of_schema({"minItems": 1001})}, BadSchema),
        ({"messages": HELLO, "response_format": of_schema({"title": "x" * 20_000})}, BadSchema),
        ({"messages": HELLO, "response_format": of_schema(DEEP)}, BadSchema),
        ({"messages": HELLO, "presence_penalty": 0.5}, NotServed),
        ([], BadBody),
        (None, BadBody),
    ],
)
def test_what_cannot_be_served_is_refused(body, error):
    with pytest.raises(error):
        read_chat(body, SETTINGS)


def test_values_that_ask_for_nothing_are_let_through():
    body = {"tools": None, "logprobs": False, "presence_penalty": 0, "response_format": {"type": "text"}, "user": "me"}
    assert chat(**body) == chat()


def test_a_format_is_the_schema_of_every_choice_and_probabilities_are_asked_for():
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}}
    asked = chat(response_format=of_schema(schema), n=2, logprobs=True, top_logprobs=3)
    assert [json.loads(request.schema) for request in asked.requests] == [schema, schema]
    assert asked.rivals == 3
    assert [request.schema for request in chat(response_format={"type": "json_object"}).requests] == [ANY_OBJECT]
    assert (chat().rivals, chat(logprobs=True).rivals) == (None, 0)


def test_a_completion_is_given_exactly_its_prompt():
    (request,) = read_completion({"prompt": " Once", "max_tokens": 3, "logprobs": None}, SETTINGS).requests
    assert (request.prompt, request.sampling.max_new_tokens) == (" Once", 3)
    with pytest.raises(BadBody):
        read_completion({"prompt": ["a", "b"]}, SETTINGS)
