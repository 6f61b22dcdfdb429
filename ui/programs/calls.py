"""From what the page shows to the call of a named endpoint that asks for the same. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from models.domain.messages import Message, Sampling
from models.domain.request import BasePrompt, ChatRequest, CompletionRequest, Request, read_prompts
from models.domain.thinking import AS_IT_IS, Thinking

from ..shared.url import CompareOptions, PageState

PROMPTS = {"chat": "Name three animals.", "complete": "Once upon a time", "compare": "Name three animals."}


@dataclass(frozen=True)
class Call:
    """One endpoint with its arguments by name; those that stand at the endpoint's default are left out."""

    endpoint: str
    arguments: Mapping[str, Any]


def call_of(state: PageState, usual: Sampling) -> Call:
    """What the open tab would ask, or the endpoint's first example where nothing is typed yet.

    `usual` is the sampling that the endpoints use without arguments.
    """
    match state.tab:
        case "compare":
            return _comparison(state, usual)
        case "complete":
            return _completion(state, state.prompt or PROMPTS["complete"], usual)
    system = {"system": state.system} if state.system.strip() else {}
    asked = {"message": _question(state), "variant": str(state.variant)}
    return Call("/chat", asked | system | _sampling(state.sampling, usual) | _thinking(state.thinking))


def written_out(state: PageState, usual: Sampling) -> Call:
    """A chat with a base model as its prompt is written out in `base_prompt`, which /chat does not take."""
    parts = state.base_prompt or BasePrompt()
    prompt = parts.write(_messages(state))
    return _completion(state, prompt, usual, parts.ending(state.sampling or usual))


def request_of(state: PageState) -> Request:
    """The chat or continuation that the page would ask for; a comparison asks its picked variant the same."""
    assert state.variant is not None
    sampling = state.sampling or Sampling()
    if state.tab == "complete":
        return CompletionRequest(state.variant, state.prompt or PROMPTS["complete"], sampling)
    return ChatRequest(state.variant, _messages(state), sampling, state.base_prompt or BasePrompt())


def _messages(state: PageState) -> tuple[Message, ...]:
    opening = (Message("system", state.system),) if state.system.strip() else ()
    return (*opening, Message("user", _question(state)))


def _question(state: PageState) -> str:
    """What stands in the box, else the last question of the conversation."""
    asked = state.conversation[::2]
    return state.prompt if state.prompt.strip() else asked[-1] if asked else PROMPTS["chat"]


def _completion(state: PageState, prompt: str, usual: Sampling, sampling: Sampling | None = None) -> Call:
    asked = {"prompt": prompt, "variant": str(state.variant)}
    return Call("/complete", asked | _sampling(sampling or state.sampling, usual))


def _comparison(state: PageState, usual: Sampling) -> Call:
    options = state.options or CompareOptions()
    typed = state.prompt if state.prompt.strip() else PROMPTS["compare"]
    first, *further = read_prompts(typed) if options.several else (typed,)
    asked: dict[str, Any] = {"prompt": first, "variants": [str(variant) for variant in state.variants]}
    if further:
        asked["prompts"] = further
    if state.system.strip():
        asked["system"] = state.system
    if state.reference and state.reference != state.variants[0]:
        asked["reference"] = str(state.reference)
    if options.quality:
        asked["text"] = options.text
    shown = _sampling(state.sampling, usual)
    if options.greedy:  # as the endpoint is
        shown = {name: value for name, value in shown.items() if name not in ("temperature", "seed")}
    elif state.sampling:
        shown["temperature"] = _plain(state.sampling.temperature)
    return Call("/compare", asked | shown | _thinking(state.thinking))


def _sampling(shown: Sampling | None, usual: Sampling) -> dict[str, Any]:
    found = {f.name: getattr(shown or usual, f.name) for f in fields(Sampling)}
    changed = {name: value for name, value in found.items() if value != getattr(usual, name)}
    return {name: _plain(value) for name, value in changed.items()}


def _plain(value: Any) -> Any:
    """As JSON writes it, and 0 rather than 0.0."""
    if isinstance(value, tuple):
        return list(value)
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _thinking(shown: Thinking | None) -> dict[str, Any]:
    thinking = shown or AS_IT_IS
    switch = {"thinking": thinking.switch} if thinking.switch != AS_IT_IS.switch else {}
    return switch | ({"thinking_budget": thinking.budget} if thinking.budget is not None else {})
