"""The HTTP side: bodies read within limits, answers streamed as server-sent events, and ended when nobody reads."""

from __future__ import annotations

import asyncio
import json
import secrets
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractContextManager, ExitStack, aclosing, nullcontext, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import gradio as gr
from gradio.context import LocalContext
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from models.domain.engine import Prompt
from models.domain.errors import BadBody, BodyTooLarge, PaddockError
from models.domain.messages import Delta, Progress, Thought
from models.domain.request import ChatRequest
from models.domain.request import Request as Answered
from models.domain.variant import Variant
from models.studies.calls import answer_works

from ..shared.events import sent_token
from . import written
from .asked import Asked, read_chat, read_completion
from .keys import Keys
from .written import Choice, Form, advance

if TYPE_CHECKING:
    from models.runtime import Runtime

BYTES_A_CHARACTER = 12  # as JSON writes one beyond the basic plane
BODY_S = 30.0  # how long a body may take to arrive
Endpoint = Callable[[Request], Awaitable[Response]]


def build_routes(runtime: Runtime) -> list[Route]:
    """The routes of the door, for the application that Gradio makes; none where the operator has it closed."""
    settings = runtime.settings
    if not settings.openai:
        return []
    keys = Keys(settings.api_keys, settings.requests_at_once)

    def guarded(endpoint: Endpoint) -> Endpoint:
        async def answered(request: Request) -> Response:
            try:
                keys.find(request.headers.get("authorization", ""))
                return await endpoint(request)
            except PaddockError as failure:
                status, body = written.error(failure)
                return JSONResponse(body, status)

        return answered

    async def models(request: Request) -> Response:
        infos = await asyncio.to_thread(runtime.listing)
        return JSONResponse({"object": "list", "data": [written.model(info) for info in infos if info.auto]})

    async def one_model(request: Request) -> Response:
        variant = Variant.parse(request.path_params["name"])
        theirs = runtime.of_visitor(token := sent_token(request))
        await asyncio.to_thread(theirs.require, variant, token)
        info = await asyncio.to_thread(lambda: theirs.describe(theirs.card(variant, token), variant.adapters))
        return JSONResponse(written.model(info) | {"id": str(variant)})

    def answering(read: Callable[[Any, Any], Asked], chat: bool) -> Endpoint:
        async def answer(request: Request) -> Response:
            LocalContext.request.set(gr.Request(request))  # whose GPU quota is asked for on ZeroGPU
            LocalContext.blocks.set(getattr(request.app, "blocks", None))  # whose sockets a worker there closes
            with ExitStack() as stack:
                stack.enter_context(keys.counted(keys.find(request.headers.get("authorization", ""))))
                asked = read(await _body(request, settings.max_characters), settings)
                for one in asked.requests:
                    runtime.check(one)
                token = sent_token(request)
                await asyncio.to_thread(runtime.require, asked.requests[0].variant, token)
                within = stack.enter_context(await asyncio.to_thread(_one_call, runtime, asked, token))
                form = _form(chat, str(asked.requests[0].variant))
                if not asked.stream:
                    return JSONResponse(form.whole(await _whole(within, asked, request)))
                under_way = stack.pop_all()  # the stream closes it
                lines = _lines(within, asked, form, under_way, token)
                return StreamingResponse(lines, media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})

        return answer

    return [
        Route("/v1/models", guarded(models), methods=["GET"]),
        Route("/v1/models/{name:path}", guarded(one_model), methods=["GET"]),
        Route("/v1/chat/completions", guarded(answering(read_chat, chat=True)), methods=["POST"]),
        Route("/v1/completions", guarded(answering(read_completion, chat=False)), methods=["POST"]),
    ]


def _one_call(runtime: Runtime, asked: Asked, token: str | None) -> AbstractContextManager[Runtime]:
    """A Runtime that computes all choices and their chances in one GPU call, where one is lent."""
    scored = asked.rivals is not None
    if len(asked.requests) == 1 and not scored:
        return nullcontext(runtime)  # an answer alone is a call of its own
    return runtime.one_call([work for one in asked.requests for work in answer_works(runtime, one, token, scored)])


def _form(chat: bool, model: str) -> Form:
    return Form(f"{'chatcmpl' if chat else 'cmpl'}-{secrets.token_hex(12)}", int(time.time()), model, chat)


async def _body(request: Request, characters: int) -> Any:
    """The JSON that was posted; raises BadBody, BodyTooLarge."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise BadBody(reason="its Content-Type has to be application/json")  # else any web page could post one
    most, data = characters * BYTES_A_CHARACTER + 100_000, bytearray()
    try:
        async with asyncio.timeout(BODY_S):
            async for part in request.stream():
                data += part
                if len(data) > most:
                    raise BodyTooLarge(limit=most)
    except TimeoutError:
        raise BadBody(reason=f"it did not arrive within {BODY_S:.0f} seconds") from None
    except ClientDisconnect:
        raise BadBody(reason="the connection was closed before its end") from None
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        raise BadBody(reason="it is not JSON") from None


async def _whole(runtime: Runtime, asked: Asked, request: Request) -> list[Choice]:
    """All choices; the computation ends when the program goes away."""
    stop = threading.Event()

    async def watch() -> None:
        while not await request.is_disconnected():
            await asyncio.sleep(0.2)
        stop.set()

    watching = asyncio.create_task(watch())
    choices = []
    try:
        for one in asked.requests:
            choice = Choice()
            async with aclosing(runtime.streaming(one, stop, sent_token(request))) as events:
                async for event in events:
                    choice = advance(choice, event)
            if asked.rivals is not None and not stop.is_set():
                choice = await _scored(runtime, one, choice, asked.rivals, sent_token(request))
            choices.append(choice)
            if stop.is_set():
                break
    finally:
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching
    return choices


async def _scored(runtime: Runtime, request: Answered, choice: Choice, rivals: int, token: str | None) -> Choice:
    """The choice with how likely the model finds each token of its answer, before temperature; raises NotScorable."""
    if not choice.text:
        return replace(choice, scored=())
    instruct = isinstance(request, ChatRequest) and not runtime.card(request.variant, token).is_base
    whole = Prompt(choice.prompt + choice.written + choice.text, rendered=instruct)
    async with aclosing(runtime.scoring(whole, request.variant, rivals=rivals, token=token)) as events:
        async for event in events:
            choice = advance(choice, event)
    return choice


async def _lines(
    runtime: Runtime, asked: Asked, form: Form, under_way: ExitStack, token: str | None
) -> AsyncIterator[str]:
    """Server-sent events: a piece a token, the usage where it is wanted, and the end that OpenAI's clients wait for.

    What is done before the first token comes as comments, so that no proxy takes the connection for dead.
    """
    usages = []
    with under_way:
        try:
            for index, one in enumerate(asked.requests):
                choice, begun = Choice(), False
                async with aclosing(runtime.streaming(one, token=token)) as events:
                    async for event in events:
                        if isinstance(event, Delta | Thought):
                            yield _line(form.chunk(index, event, first=not begun))
                            begun = True
                        elif isinstance(event, Progress):
                            yield f": {event.stage}\n\n"
                        choice = advance(choice, event)
                if asked.rivals is not None:
                    choice = await _scored(runtime, one, choice, asked.rivals, token)
                    yield _line(form.chances(index, choice))
                usages.append(choice.usage)
            if asked.include_usage:
                yield _line(form.last(usages))
        except PaddockError as failure:
            yield _line(written.error(failure)[1])
    yield "data: [DONE]\n\n"


def _line(data: dict[str, Any]) -> str:
    return f"data: {json.dumps(data, ensure_ascii=False)}\n\n"
