"""Named endpoints for programs: what each parameter means, for who reads or calls them as tools, and their errors."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import gradio as gr

from models.domain.errors import PaddockError
from models.domain.messages import BOUNDS, STOP_STRING_LENGTH, STOP_STRINGS_MAX

Endpoint = TypeVar("Endpoint", bound=Callable[..., object])

_SPELLING = (
    "MODEL[@QUANTIZATION][+ADAPTER[:STRENGTH]], for example smollm2-135m-instruct@nf4+pirate:0.8; MODEL is a key that "
    "`models` lists or a Hugging Face id; without a quantization, the best that runs here"
)
PARAMETERS = {
    "message": "what the visitor says",
    "history": "the conversation so far, as [{role: user or assistant, content: text}], ending with an answer",
    "variant": _SPELLING,
    "system": "system prompt, optional",
    "prompt": "the text to continue, or what to ask all variants",
    "prompts": "further prompts, each asked for itself",
    "variants": f"two or more to compare, each {_SPELLING}",
    "reference": "one of the variants, which the others are compared with; the first if empty",
    "text": "a text to score: how well a variant predicts it; quality figures and three timed runs come with it",
    "context": "tokens of one conversation to plan for; the server's own if none",
    "model": "key of a model, as `models` lists it, or a Hugging Face id",
    "hub": "whether to ask the Hub for more adapters",
    "thinking": "auto, on, off, low, medium or high, as the model's chat template knows it",
    "thinking_budget": "tokens after which a thought is closed and the answer begins",
    "thoughts": "whether usage has the thought so far, as `thought`",
    "max_new_tokens": "longest answer, in tokens",
    "temperature": "0 always takes the likeliest token, so that answers repeat",
    "top_p": "only the likeliest tokens that have this probability together; 1 is off",
    "top_k": "only so many of the likeliest tokens; 0 is off",
    "min_p": "only tokens with at least this share of the likeliest one's probability; 0 is off",
    "repetition_penalty": "above 1, tokens that were there become less likely; 1 is off",
    "seed": "the same seed gives the same answer; none is a fresh one",
    "stop": f"texts that end the answer, at most {STOP_STRINGS_MAX} of up to {STOP_STRING_LENGTH} characters",
}


@contextmanager
def in_sentences() -> Iterator[None]:
    """Our errors as Gradio's, so that the caller reads the sentence and the log gets no traceback."""
    try:
        yield
    except PaddockError as error:
        raise gr.Error(str(error), print_exception=False, title=error.code) from error


def documented(endpoint: Endpoint) -> Endpoint:
    """The endpoint with a line for each parameter in its docstring, where Gradio reads them."""
    names = [name for name in inspect.signature(endpoint).parameters if name in PARAMETERS]
    lines = [f"    {name}: {PARAMETERS[name]}{_range(name)}" for name in names]
    about = " ".join((inspect.getdoc(endpoint) or "").split())
    endpoint.__doc__ = "\n".join([about, "", "Parameters:", *lines]) if lines else about
    return endpoint


def _range(name: str) -> str:
    bound = BOUNDS.get(name)
    return f" ({bound.low:g} to {bound.high:g})" if bound else ""
