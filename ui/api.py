"""The named endpoints for programs; everything else of the page is private.

Gradio reads the parameters, their defaults and the outputs from the signatures, so annotations here are evaluated.
"""

import inspect
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing
from dataclasses import asdict
from functools import wraps
from typing import TYPE_CHECKING, Any

import gradio as gr

from models.domain.engine import Prompt
from models.domain.errors import BadHistory, EngineLost, NotText
from models.domain.messages import BOUNDS, Delta, Message, Sampling, Scored, read_history
from models.domain.request import ChatRequest, CompareRequest, CompletionRequest, Request
from models.domain.results import metrics
from models.domain.results.comparison import Compared, Comparison
from models.domain.results.contenders import Contenders, contenders
from models.domain.thinking import Thinking
from models.domain.variant import LONGEST_SPELLING, Variant
from models.studies.compare import RUNS, comparing

from .shared import stream
from .shared.endpoints import documented, in_sentences
from .shared.events import CONCURRENCY_ID, own_token

if TYPE_CHECKING:
    from models.runtime import Runtime

_D = Sampling()
Output = tuple[str, dict[str, Any]]
Rows = list[dict[str, Any]]


def build_api(runtime: "Runtime") -> None:
    """Register /chat, /complete, /compare, /models, /adapters, /plan and /score on the Blocks being built."""
    default = runtime.settings.default_variant

    async def chat(
        message: str,
        history: list[dict[str, Any]] = [],  # noqa: B006
        variant: str = default,
        system: str = "",
        *,
        sampling: Sampling,
        thinking: str = "auto",
        thinking_budget: int | None = None,
        thoughts: bool = False,
        token: gr.OAuthToken | None = None,
    ) -> AsyncIterator[Output]:
        """Stream the next answer of a conversation as (text so far, usage); usage is empty until the end.

        `thinking` is auto, on, off, low, medium or high, as the model's chat template knows it; after `thinking_budget`
        tokens the answer begins. With `thoughts`, usage has the thought so far as `thought`, at all times.
        """
        opening = (Message("system", system),) if _text("system", system).strip() else ()
        earlier = read_history(history or [])
        if earlier and earlier[-1].role == "user":
            raise BadHistory(reason="its last message has no answer")
        messages = (*opening, *earlier, Message("user", _text("message", message)))
        wanted = Thinking(thinking, thinking_budget)  # type: ignore[arg-type]
        request = ChatRequest(Variant.parse(variant or default), messages, sampling, thinking=wanted)
        async for shown in _answered(runtime, request, token, thoughts):
            yield shown

    async def complete(
        prompt: str,
        variant: str = default,
        *,
        sampling: Sampling,
        token: gr.OAuthToken | None = None,
    ) -> AsyncIterator[Output]:
        """Stream the continuation of a text as (text so far, usage); usage is empty until the end."""
        request = CompletionRequest(Variant.parse(variant or default), _text("prompt", prompt), sampling)
        async for shown in _answered(runtime, request, token):
            yield shown

    async def compare(
        prompt: str,
        variants: list[str],
        system: str = "",
        *,
        sampling: Sampling,
        reference: str = "",
        text: str = "",
        prompts: list[str] = [],  # noqa: B006
        thinking: str = "auto",
        thinking_budget: int | None = None,
        token: gr.OAuthToken | None = None,
    ) -> AsyncIterator[Rows]:
        """Stream the answers of several variants: a list with variant, text, usage, error and figures of each.

        One that cannot be compared says why, and the others go on where two are left. Figures of quality come where a
        text to be scored is given; the reference is the first variant if none is named. Each of `prompts` is asked for
        itself, after `prompt` if that is not empty; `answers` has the answers to all.
        """
        found = contenders(variants, runtime.settings.compared)
        request = CompareRequest.of(
            found.variants,
            _prompts(prompt, prompts),
            _text("system", system),
            sampling=sampling,
            reference=Variant.parse(reference) if reference else found.variants[0],
            text=_text("text", text),
            runs=RUNS if text else 1,
            thinking=Thinking(thinking, thinking_budget),  # type: ignore[arg-type]
        )
        rows = _first_rows(variants, found)
        async with aclosing(comparing(runtime, request, token=own_token(token))) as steps:
            async for step in steps:
                if isinstance(step, Comparison):
                    for place, column in zip(found.places, step.columns, strict=True):
                        rows[place] = row(column)
                elif isinstance(step.event, Compared):
                    rows[found.places[step.column]] = row(step.event)
                elif isinstance(step.event, Delta):
                    place = found.places[step.column]
                    rows[place] = rows[place] | {"text": rows[place]["text"] + step.event.text}
                else:
                    continue
                yield rows

    def models() -> list[dict[str, Any]]:
        """The models of the catalog: key, kind, size, licence, modes that run here, what is on this machine."""
        return [model.to_dict() for model in runtime.models()]

    def plan(variant: str, context: int | None = None, token: gr.OAuthToken | None = None) -> dict[str, Any]:
        """What a variant would take in memory by part, and the nearest that fit where it does not."""
        with in_sentences():
            asked, own = Variant.parse(variant or default), own_token(token)
            planned = runtime.plan(asked, context, own)
            near = [] if planned.fits else runtime.nearest(asked, context, own)
            return planned.to_dict() | {"nearest": [found.to_dict() for found in near]}

    def adapters(model: str = default, hub: bool = False, token: gr.OAuthToken | None = None) -> dict[str, Any]:
        """The LoRA adapters that are listed for a model and, if asked for, those that the Hub has registered for it."""
        with in_sentences():
            variant, own = Variant.parse(model or default), own_token(token)
            found = runtime.adapters_on_hub(variant, own) if hub else []
            return {"listed": list(map(asdict, runtime.adapters(variant, own))), "hub": list(map(asdict, found))}

    async def score(text: str, variant: str = default, token: gr.OAuthToken | None = None) -> dict[str, Any]:
        """How likely a variant finds a text: a natural log-probability a token, perplexity, bits a byte."""
        with in_sentences():
            asked, own = Variant.parse(variant or default), own_token(token)
            async with aclosing(runtime.scoring(Prompt(_text("text", text)), asked, token=own)) as events:
                async for event in events:
                    if isinstance(event, Scored):
                        return metrics.summary(event)
            raise EngineLost

    computing: dict[str, Any] = {"concurrency_id": CONCURRENCY_ID, "concurrency_limit": runtime.settings.slots}
    defaults = {"max_new_tokens": min(_D.max_new_tokens, runtime.settings.max_new_tokens)}
    gr.api(documented(with_sampling(chat, Output, defaults)), **computing)
    gr.api(documented(with_sampling(complete, Output, defaults)), **computing)
    gr.api(documented(with_sampling(compare, Rows, defaults | {"temperature": 0.0})), **computing)
    gr.api(documented(score), **computing)
    for endpoint in (models, adapters, plan):
        gr.api(documented(endpoint), queue=False)


def with_sampling(endpoint: Callable[..., AsyncIterator[Any]], each: Any, defaults: dict[str, Any]) -> Any:
    """The endpoint with a parameter for each value of a Sampling where it takes one `sampling`; it yields `each`.

    Gradio reads the parameters from the signature.
    """
    kinds = {name: int if bound.whole else float for name, bound in BOUNDS.items()}
    kinds |= {"seed": int | None, "stop": list[str]}  # type: ignore[dict-item]
    values = {name: getattr(_D, name) for name in kinds} | {"stop": []} | defaults
    parameters: list[inspect.Parameter] = []
    for own in inspect.signature(endpoint).parameters.values():
        if own.name == "sampling":
            parameters += [own.replace(name=name, default=values[name], annotation=kinds[name]) for name in kinds]
        else:
            parameters.append(own)
    parameters = [own.replace(kind=inspect.Parameter.POSITIONAL_OR_KEYWORD) for own in parameters]

    @wraps(endpoint)
    async def flat(*given: Any) -> AsyncIterator[Any]:
        named = dict(zip((parameter.name for parameter in parameters), given, strict=False))
        with in_sentences():
            chosen = {name: named.pop(name) for name in kinds if name in named}
            sampling = Sampling(**values | chosen | {"stop": chosen.get("stop") or ()})
            async for shown in endpoint(**named, sampling=sampling):
                yield shown

    flat.__signature__ = inspect.Signature(parameters, return_annotation=each)  # type: ignore[attr-defined]
    flat.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return flat


def _text(name: str, value: Any) -> str:
    """What a program gave as text, None as none; raises NotText."""
    if value is not None and not isinstance(value, str):
        raise NotText(name=name)
    return value or ""


def _prompts(prompt: Any, prompts: Any) -> list[str]:
    """What is asked, each for itself; raises NotText."""
    further = [_text("prompt", one) for one in prompts or []]
    return [_text("prompt", prompt), *further] if prompt or not further else further


def _first_rows(spellings: Sequence[Any], found: Contenders) -> list[dict[str, Any]]:
    """A row for each spelling, in order; one that is left out says why, and keeps its spelling."""
    rows = [row(Compared(str(variant))) for variant in found.variants]
    for place, reason in sorted(found.left_out.items()):
        spelling = str(spellings[place])[:LONGEST_SPELLING]
        empty: dict[str, Any] = {"text": "", "answers": [], "usage": {}, "needed": None, "figures": {}}
        rows.insert(place, {"variant": spelling, "error": str(reason), **empty})
    return rows


def row(column: Compared) -> dict[str, Any]:
    """One variant of a comparison as plain data; `usage` and `figures` are empty as long as there are none."""
    return {
        "variant": column.resolved or column.variant,
        "text": column.answer,
        "answers": [answer for _, answer in column.pairs if answer],
        "usage": asdict(column.usage) if column.usage and column.usage.finish else {},
        "error": column.error,
        "needed": column.needed,
        "figures": {name: value for name, value in asdict(column.known).items() if value not in (None, "")},
    }


async def _answered(
    runtime: "Runtime", request: Request, token: gr.OAuthToken | None, thoughts: bool = False
) -> AsyncIterator[Output]:
    runtime.check(request)
    answer = stream.Answer()
    async with aclosing(runtime.answering(request, token=own_token(token))) as events:
        async for event in events:
            answer = stream.advance(answer, event)
            if answer.text or answer.done or (thoughts and answer.thought):
                thought = {"thought": answer.thought} if thoughts else {}
                yield answer.text, thought | (asdict(answer.usage) if answer.done else {})
