"""What programs read: the objects of OpenAI's API, made of an answer and its usage. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import accumulate
from typing import Any

from models.domain.errors import (
    EngineError,
    GatedModel,
    GpuRefused,
    HubUnreachable,
    InputError,
    KeyRefused,
    NotScorable,
    OutOfMemory,
    PaddockError,
    TooManyRequests,
    UnknownModel,
    VariantError,
    WeightsError,
)
from models.domain.memory.model_info import ModelInfo
from models.domain.messages import Delta, Event, Rendered, Scored, Thought, Usage

Rivals = tuple[tuple[str, float], ...]
Token = tuple[str, float, Rivals]
LEAST = -9999.0  # as OpenAI writes the logarithm of nothing
FINISHES = {"stop": "stop", "stop_string": "stop", "length": "length", "time_limit": "length", "cancelled": "stop"}
# The first that an error is one of says the status and OpenAI's name for the kind.
STATUSES: tuple[tuple[type[PaddockError], int, str], ...] = (
    (KeyRefused, 401, "authentication_error"),
    (TooManyRequests, 429, "rate_limit_error"),
    (GpuRefused, 429, "rate_limit_error"),
    (InputError, 400, "invalid_request_error"),
    (UnknownModel, 404, "invalid_request_error"),
    (VariantError, 400, "invalid_request_error"),
    (GatedModel, 403, "permission_error"),
    (HubUnreachable, 503, "server_error"),
    (WeightsError, 400, "invalid_request_error"),
    (OutOfMemory, 503, "server_error"),
    (NotScorable, 400, "invalid_request_error"),
    (EngineError, 500, "server_error"),
    (PaddockError, 500, "server_error"),
)


@dataclass(frozen=True)
class Choice:
    """One answer so far; `prompt` is what the model was given, `written` the thought with its marks.

    `scored` are its tokens once they were asked for: text, natural log-probability, rivals.
    """

    text: str = ""
    thought: str = ""
    usage: Usage = field(default_factory=Usage)
    prompt: str = ""
    written: str = ""
    scored: tuple[Token, ...] | None = None

    @property
    def tokens_before(self) -> int:
        """Of the prompt and the thought."""
        return self.usage.prompt_tokens + self.usage.thought_tokens


@dataclass(frozen=True)
class Form:
    """How one of the endpoints writes: the names of its objects, and where a text stands in a choice."""

    id: str
    created: int
    model: str
    chat: bool

    def whole(self, choices: Sequence[Choice]) -> dict[str, Any]:
        """The answer that is not streamed."""
        written = []
        for index, choice in enumerate(choices):
            said: dict[str, Any] = {"text": choice.text}
            if self.chat:
                thought = {"reasoning_content": choice.thought} if choice.thought else {}
                said = {"message": {"role": "assistant", "content": choice.text} | thought}
            chances = self.logprobs(choice.scored)
            written.append({"index": index, **said, "logprobs": chances, "finish_reason": finish(choice.usage)})
        return self._object("chat.completion", written) | usage([choice.usage for choice in choices])

    def chunk(self, index: int, event: Delta | Thought, first: bool = False) -> dict[str, Any]:
        """A piece of a stream; the first of a choice says the role."""
        said: dict[str, Any] = {"text": event.text}
        if self.chat:
            role = {"role": "assistant"} if first else {}
            name = "reasoning_content" if isinstance(event, Thought) else "content"
            said = {"delta": role | ({name: event.text} if event.text or first else {})}
        over = isinstance(event, Delta) and event.usage.finish is not None
        reason = finish(event.usage) if over else None
        return self._object("chat.completion.chunk", [{"index": index, **said, "finish_reason": reason}])

    def chances(self, index: int, choice: Choice) -> dict[str, Any]:
        """The piece after a choice that has the probabilities of all its tokens."""
        said: dict[str, Any] = {"delta": {}} if self.chat else {"text": ""}
        piece = {"index": index, **said, "logprobs": self.logprobs(choice.scored), "finish_reason": None}
        return self._object("chat.completion.chunk", [piece])

    def logprobs(self, scored: Sequence[Token] | None) -> dict[str, Any] | None:
        """Probabilities as the endpoint has them."""
        if scored is None:
            return None
        if self.chat:
            return {"content": [_chance(text, value) | {"top_logprobs": _best(best)} for text, value, best in scored]}
        return {
            "tokens": [text for text, _, _ in scored],
            "token_logprobs": [value for _, value, _ in scored],
            "top_logprobs": [{text: _log(chance) for text, chance in best} for _, _, best in scored],
            "text_offset": [*accumulate((len(text) for text, _, _ in scored), initial=0)][:-1],
        }

    def last(self, usages: Sequence[Usage]) -> dict[str, Any]:
        """The piece after all choices, which has the usage."""
        return self._object("chat.completion.chunk", []) | usage(usages)

    def _object(self, name: str, choices: list[dict[str, Any]]) -> dict[str, Any]:
        kind = name if self.chat else "text_completion"
        return {"id": self.id, "object": kind, "created": self.created, "model": self.model, "choices": choices}


def advance(choice: Choice, event: Event) -> Choice:
    """A choice after one more event; a thought is told apart where the answer is a chat's."""
    match event:
        case Delta():
            return replace(choice, text=choice.text + event.text, usage=event.usage)
        case Thought():
            written = choice.written + event.written
            return replace(choice, thought=choice.thought + event.text, written=written, usage=event.usage)
        case Rendered():
            return replace(choice, prompt=event.prompt)
        case Scored():
            start = max(0, choice.tokens_before - event.offset)
            rivals = event.rivals or [()] * len(event.tokens)
            places = zip(event.tokens, event.log_probabilities, rivals, strict=True)
            return replace(choice, scored=tuple(places)[start:])
    return choice


def _chance(text: str, value: float) -> dict[str, Any]:
    return {"token": text, "logprob": value, "bytes": [*text.encode("utf-8", "replace")]}


def _best(rivals: Rivals) -> list[dict[str, Any]]:
    return [_chance(text, _log(chance)) for text, chance in rivals]


def _log(chance: float) -> float:
    return math.log(chance) if chance > 0 else LEAST


def finish(used: Usage) -> str:
    """OpenAI's reason for the end of an answer; one that ran out of time was cut off, as by its length."""
    return FINISHES.get(used.finish or "", "stop")


def usage(used: Sequence[Usage]) -> dict[str, Any]:
    """The tokens of all choices; under `paddock`, of each what the page shows of it too: variant, seed, speeds."""
    prompt, new = used[0].prompt_tokens, sum(one.new_tokens for one in used)
    counted: dict[str, Any] = {
        "prompt_tokens": prompt,
        "completion_tokens": new,
        "total_tokens": prompt + new,
        "prompt_tokens_details": {"cached_tokens": used[0].cached_tokens},
        "completion_tokens_details": {"reasoning_tokens": sum(one.thought_tokens for one in used)},
    }
    return {"usage": counted, "paddock": [asdict(one) for one in used]}


def error(failure: PaddockError) -> tuple[int, dict[str, Any]]:
    """The HTTP status of a failure, and its body: both sentences, and its code."""
    status, kind = next((status, kind) for cls, status, kind in STATUSES if isinstance(failure, cls))
    return status, {"error": {"message": str(failure), "type": kind, "param": None, "code": failure.code}}


def model(info: ModelInfo) -> dict[str, Any]:
    """One that runs here, as /v1/models lists it; `auto` is the quantization that its bare name means here."""
    owner = info.hub_id.partition("/")[0] or info.family
    return {
        "id": info.key,
        "object": "model",
        "created": 0,
        "owned_by": owner,
        "max_model_len": info.context_here,
        "paddock": {"title": info.title, "kind": info.kind, "auto": info.auto, "here": list(info.on_this_machine)},
    }
