"""From the JSON that a program posts to the requests that the page makes too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from models.domain.errors import BadBody, NotServed
from models.domain.json_schema import ANY_OBJECT, schema_text
from models.domain.messages import Message, Sampling, read_history
from models.domain.request import ChatRequest, CompletionRequest, Request
from models.domain.results.comparison import MOST_ALTERNATIVES
from models.domain.settings import Settings
from models.domain.thinking import Switch, Thinking
from models.domain.variant import Variant

MOST_ANSWERS = 4  # of one request
# What these ask for is not there; a value that asks for nothing is let through.
NOT_SERVED: dict[str, tuple[Any, ...]] = {
    "tools": (None, []),
    "functions": (None, []),
    "logit_bias": (None, {}),
    "presence_penalty": (None, 0),
    "frequency_penalty": (None, 0),
    "echo": (None, False),
    "suffix": (None, ""),
    "best_of": (None, 1),
    "audio": (None,),
}
REASONING: dict[str, Switch] = {"none": "off", "minimal": "low", "low": "low", "medium": "medium", "high": "high"}


class StreamOptions(BaseModel):
    include_usage: bool = False


class Body(BaseModel):
    """The parameters that both endpoints take; those that are not known are ignored, as OpenAI's clients expect."""

    model_config = ConfigDict(extra="allow")

    model: str = ""
    stream: bool = False
    stream_options: StreamOptions | None = None
    n: int | None = Field(None, ge=1, le=MOST_ANSWERS)
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    repetition_penalty: float | None = None
    seed: int | None = None
    stop: str | list[str] | None = None
    response_format: dict[str, Any] | None = None


class ChatBody(Body):
    messages: list[dict[str, Any]]
    max_completion_tokens: int | None = None
    reasoning_effort: str | None = None
    thinking_budget: int | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = Field(None, ge=0, le=MOST_ALTERNATIVES)


class CompletionBody(Body):
    prompt: str
    logprobs: int | None = Field(None, ge=0, le=MOST_ALTERNATIVES)


@dataclass(frozen=True)
class Asked:
    """What a program wants: one request a choice, whole or as a stream that may end with its usage.

    `rivals` are the likeliest tokens at each place that come with its probability; None asks for no probabilities.
    """

    requests: tuple[Request, ...]
    stream: bool
    include_usage: bool
    rivals: int | None = None


def read_chat(posted: Any, settings: Settings) -> Asked:
    """A body of /v1/chat/completions; raises PaddockError."""
    body = _validated(ChatBody, posted)
    switch = REASONING.get(body.reasoning_effort or "", "auto" if not body.reasoning_effort else body.reasoning_effort)
    thinking = Thinking(switch, body.thinking_budget)
    messages, variant = read_messages(body.messages), _variant(body, settings)
    samplings = _samplings(body, body.max_completion_tokens or body.max_tokens, settings)
    if body.top_logprobs is not None and not body.logprobs:
        raise BadBody(reason="top_logprobs goes with logprobs")
    how: dict[str, Any] = {"thinking": thinking, "schema": read_format(body.response_format)}
    rivals = body.top_logprobs or 0 if body.logprobs else None
    return _asked(body, [ChatRequest(variant, messages, one, **how) for one in samplings], rivals)


def read_completion(posted: Any, settings: Settings) -> Asked:
    """A body of /v1/completions; raises PaddockError."""
    body = _validated(CompletionBody, posted)
    variant = _variant(body, settings)
    samplings, schema = _samplings(body, body.max_tokens, settings), read_format(body.response_format)
    return _asked(
        body, [CompletionRequest(variant, body.prompt, one, schema=schema) for one in samplings], body.logprobs
    )


def read_format(asked: dict[str, Any] | None) -> str:
    """The JSON schema of a `response_format`, empty for plain text; raises BadBody, BadSchema."""
    match asked:
        case None | {"type": "text"}:
            return ""
        case {"type": "json_object"}:
            return ANY_OBJECT
        case {"type": "json_schema", "json_schema": {"schema": schema}}:
            return schema_text(schema)
    raise BadBody(reason="response_format is text, json_object, or json_schema with a json_schema.schema")


def read_messages(posted: Sequence[Any]) -> tuple[Message, ...]:
    """A conversation: system messages become one, and so do neighbours of one role; raises BadHistory."""
    system: list[str] = []
    turns: list[dict[str, Any]] = []
    for item in posted:
        role = item.get("role") if isinstance(item, dict) else None
        if role in ("system", "developer"):
            (read,) = read_history([{"role": "user", "content": item.get("content")}])
            system.append(read.content)
        elif turns and turns[-1]["role"] == role and role in ("user", "assistant"):
            both = [read_history([{"role": "user", "content": one.get("content")}])[0] for one in (turns[-1], item)]
            turns[-1] = {"role": role, "content": "\n\n".join(message.content for message in both)}
        else:
            turns.append({"role": role, "content": item.get("content")} if isinstance(item, dict) else item)
    history = read_history(turns)
    if history and history[-1].role == "assistant":
        raise BadBody(reason="the last message has to be the user's: an answer that goes on is not served here")
    opening = (Message("system", "\n\n".join(system)),) if any(text.strip() for text in system) else ()
    return (*opening, *history)


def _validated(kind: type[Any], posted: Any) -> Any:
    try:
        body = kind.model_validate(posted)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise BadBody(reason=f"{'.'.join(map(str, first['loc'])) or 'the body'}: {first['msg']}") from None
    extra = body.model_extra or {}
    for name, nothing in NOT_SERVED.items():
        if name in extra and not any(extra[name] == value and type(extra[name]) is type(value) for value in nothing):
            raise NotServed(name=name)
    return body


def _variant(body: Body, settings: Settings) -> Variant:
    return Variant.parse(body.model.strip() or settings.default_variant)


def _samplings(body: Body, length: int | None, settings: Settings) -> list[Sampling]:
    """A sampling for each choice: with a seed each has its own, counted up, so that they differ and come again."""
    names = ("temperature", "top_p", "top_k", "min_p", "repetition_penalty")
    values = {name: value for name in names if (value := getattr(body, name)) is not None}
    values["max_new_tokens"] = settings.max_new_tokens if length is None else length
    stop = [body.stop] if isinstance(body.stop, str) else body.stop or []
    seeds = [None if body.seed is None else body.seed + place for place in range(body.n or 1)]
    return [Sampling(**values, stop=stop, seed=seed) for seed in seeds]


def _asked(body: Body, requests: Sequence[Request], rivals: int | None) -> Asked:
    usage = bool(body.stream_options and body.stream_options.include_usage)
    return Asked(tuple(requests), body.stream, usage, rivals)
