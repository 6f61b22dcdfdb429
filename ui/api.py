"""The named endpoints for programs; everything else of the page is private.

Gradio reads the parameters, their defaults and the outputs from the signatures, so annotations here are evaluated.
"""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import gradio as gr

from models.domain.errors import BadHistory, EngineLost, NotText, PaddockError
from models.domain.messages import Delta, Message, Sampling, Scored, read_history
from models.domain.request import ChatRequest, CompareRequest, CompletionRequest, Request
from models.domain.results import metrics
from models.domain.results.comparison import Compared, Comparison
from models.domain.results.contenders import Contenders, contenders
from models.domain.variant import LONGEST_SPELLING, Variant

from .shared import stream
from .shared.events import CONCURRENCY_ID

if TYPE_CHECKING:
    from models.runtime import Runtime

_D = Sampling()
Output = tuple[str, dict[str, Any]]


def build_api(runtime: "Runtime") -> None:
    """Register /chat, /complete, /compare, /models, /adapters, /plan and /score on the Blocks being built."""
    default = runtime.settings.default_variant
    longest = min(_D.max_new_tokens, runtime.settings.max_new_tokens)

    async def chat(
        message: str,
        history: list[dict[str, Any]] = [],  # noqa: B006
        variant: str = default,
        system: str = "",
        max_new_tokens: int = longest,
        temperature: float = _D.temperature,
        top_p: float = _D.top_p,
        top_k: int = _D.top_k,
        min_p: float = _D.min_p,
        repetition_penalty: float = _D.repetition_penalty,
        seed: int | None = None,
        stop: list[str] = [],  # noqa: B006
        token: gr.OAuthToken | None = None,
    ) -> AsyncIterator[Output]:
        """Stream the next answer of a conversation as (text so far, usage); usage is empty until the end."""
        with _sentences():
            sampling = Sampling(max_new_tokens, temperature, top_p, top_k, min_p, repetition_penalty, seed, stop or ())
            opening = (Message("system", system),) if _text("system", system).strip() else ()
            earlier = read_history(history or [])
            if earlier and earlier[-1].role == "user":
                raise BadHistory(reason="its last message has no answer")
            messages = (*opening, *earlier, Message("user", _text("message", message)))
            request = ChatRequest(Variant.parse(variant or default), messages, sampling)
            async for shown in _answered(runtime, request, token):
                yield shown

    async def complete(
        prompt: str,
        variant: str = default,
        max_new_tokens: int = longest,
        temperature: float = _D.temperature,
        top_p: float = _D.top_p,
        top_k: int = _D.top_k,
        min_p: float = _D.min_p,
        repetition_penalty: float = _D.repetition_penalty,
        seed: int | None = None,
        stop: list[str] = [],  # noqa: B006
        token: gr.OAuthToken | None = None,
    ) -> AsyncIterator[Output]:
        """Stream the continuation of a text as (text so far, usage); usage is empty until the end."""
        with _sentences():
            sampling = Sampling(max_new_tokens, temperature, top_p, top_k, min_p, repetition_penalty, seed, stop or ())
            request = CompletionRequest(Variant.parse(variant or default), _text("prompt", prompt), sampling)
            async for shown in _answered(runtime, request, token):
                yield shown

    async def compare(
        prompt: str,
        variants: list[str],
        system: str = "",
        max_new_tokens: int = longest,
        temperature: float = 0.0,
        top_p: float = _D.top_p,
        top_k: int = _D.top_k,
        min_p: float = _D.min_p,
        repetition_penalty: float = _D.repetition_penalty,
        seed: int | None = None,
        stop: list[str] = [],  # noqa: B006
        reference: str = "",
        text: str = "",
        token: gr.OAuthToken | None = None,
    ) -> AsyncIterator[list[dict[str, Any]]]:
        """Stream the answers of several variants: a list with variant, text, usage, error and figures of each.

        One that cannot be compared says why, and the others go on where two are left. Figures of quality come where a
        text to be scored is given; the reference is the first variant if none is named.
        """
        with _sentences():
            sampling = Sampling(max_new_tokens, temperature, top_p, top_k, min_p, repetition_penalty, seed, stop or ())
            found = contenders(variants, runtime.settings.compared)
            held_against = Variant.parse(reference) if reference else found.variants[0]
            request = CompareRequest.of(
                found.variants,
                _text("prompt", prompt),
                _text("system", system),
                sampling=sampling,
                reference=held_against,
                text=_text("text", text),
            )
            rows = _first_rows(variants, found)
            async with aclosing(runtime.comparing(request, token=token.token if token else None)) as steps:
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
        return runtime.models()

    def plan(variant: str, context: int | None = None, token: gr.OAuthToken | None = None) -> dict[str, Any]:
        """What a variant would take in memory by part, and the nearest that fit where it does not."""
        with _sentences():
            asked, own = Variant.parse(variant or default), token.token if token else None
            planned = runtime.plan(asked, context, own)
            near = [] if planned.fits else runtime.nearest(asked, context, own)
            return planned.to_dict() | {"nearest": [found.to_dict() for found in near]}

    def adapters(model: str = default, hub: bool = False, token: gr.OAuthToken | None = None) -> dict[str, Any]:
        """The LoRA adapters that are listed for a model and, if asked for, those that the Hub has registered for it."""
        with _sentences():
            variant, own = Variant.parse(model or default), token.token if token else None
            found = runtime.adapters_on_hub(variant, own) if hub else []
            return {"listed": runtime.adapters(variant, own), "hub": found}

    async def score(text: str, variant: str = default, token: gr.OAuthToken | None = None) -> dict[str, Any]:
        """How likely a variant finds a text: a natural log-probability a token, perplexity, bits a byte."""
        with _sentences():
            asked, own = Variant.parse(variant or default), token.token if token else None
            async with aclosing(runtime.scoring(_text("text", text), asked, token=own)) as events:
                async for event in events:
                    if isinstance(event, Scored):
                        return metrics.summary(event)
            raise EngineLost

    for endpoint in (chat, complete):
        endpoint.__annotations__["return"] = Output  # Gradio wants what each step yields
        gr.api(endpoint, concurrency_id=CONCURRENCY_ID, concurrency_limit=runtime.settings.slots)
    compare.__annotations__["return"] = list[dict[str, Any]]
    gr.api(compare, concurrency_id=CONCURRENCY_ID, concurrency_limit=runtime.settings.slots)
    gr.api(score, concurrency_id=CONCURRENCY_ID, concurrency_limit=runtime.settings.slots)
    gr.api(models, queue=False)
    gr.api(adapters, queue=False)
    gr.api(plan, queue=False)


def _text(name: str, value: Any) -> str:
    """What a program gave as text, None as none; raises NotText."""
    if value is not None and not isinstance(value, str):
        raise NotText(name=name)
    return value or ""


def _first_rows(spellings: Sequence[Any], found: Contenders) -> list[dict[str, Any]]:
    """A row for each spelling, in order; one that is left out says why, and keeps its spelling."""
    rows = [row(Compared(str(variant))) for variant in found.variants]
    for place, reason in sorted(found.left_out.items()):
        spelling = str(spellings[place])[:LONGEST_SPELLING]
        rows.insert(place, {"variant": spelling, "text": "", "usage": {}, "error": str(reason), "figures": {}})
    return rows


def row(column: Compared) -> dict[str, Any]:
    """One variant of a comparison as plain data; `usage` and `figures` are empty as long as there are none."""
    return {
        "variant": column.resolved or column.variant,
        "text": column.answer,
        "usage": asdict(column.usage) if column.usage and column.usage.finish else {},
        "error": column.error,
        "figures": {name: value for name, value in asdict(column.known).items() if value not in (None, "")},
    }


async def _answered(runtime: "Runtime", request: Request, token: gr.OAuthToken | None) -> AsyncIterator[Output]:
    runtime.check(request)
    answer = stream.Answer()
    async with aclosing(runtime.answering(request, token=token.token if token else None)) as events:
        async for event in events:
            answer = stream.advance(answer, event)
            if answer.text or answer.done:
                yield answer.text, asdict(answer.usage) if answer.done else {}


@contextmanager
def _sentences() -> Iterator[None]:
    """Our errors as Gradio's, so that the caller reads the sentence and the log gets no traceback."""
    try:
        yield
    except PaddockError as error:
        raise gr.Error(str(error), print_exception=False, title=error.code) from error
