"""Limits of what is posted, before anything is made of it: how large, how slow, how deep."""

from __future__ import annotations

import asyncio
import json
import re

import gradio as gr
from gradio.context import LocalContext
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from models.domain.errors import BadPost, PaddockError, PostTooLarge, PostTooSlow

from ..shared.language import error_sentences

# A browser keeps some 5 million characters of a page, of up to three bytes, and none of ours posts more than it keeps.
LONGEST = 20_000_000
READ_ON = 200_000_000  # bytes of a longer one that are read and dropped, so that who sent it reads why
WHOLE_S = 60.0
PART_S = 20.0  # without a byte; an upload of files may take as long as it goes on
DEEPEST = 100
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"')
_LONG_NUMBER = re.compile(rb"\d{400}")
ELSEWHERE = "/v1/"  # has limits of its own, in OpenAI's form
UPLOADS = "/gradio_api/upload"  # has a limit of its own as it is written to a file
MCP = "/gradio_api/mcp"


class Bodies:
    """ASGI middleware that hands on a body once it is whole, and answers itself for one that is beyond a limit."""

    def __init__(self, app: ASGIApp, longest: int = LONGEST, whole_s: float = WHOLE_S, part_s: float = PART_S) -> None:
        self.app, self.longest, self.whole_s, self.part_s = app, longest, whole_s, part_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "").removeprefix(scope.get("root_path", ""))
        if scope["type"] != "http" or scope["method"] not in ("POST", "PUT", "PATCH") or path.startswith(ELSEWHERE):
            await self.app(scope, receive, send)
        elif path.startswith(UPLOADS):
            await self.app(scope, self._in_time(receive), send)
        else:
            await self._checked(path, scope, receive, send)

    async def _checked(self, path: str, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            async with asyncio.timeout(self.whole_s):
                body = await self._whole(receive)
        except TimeoutError:
            await _refuse(PostTooSlow(), 408, path, scope, send)
            return
        if body is None:  # whoever sent it has gone
            return
        try:
            if len(body) > self.longest:
                raise PostTooLarge(limit=self.longest)
            check(body)
        except PaddockError as error:
            await _refuse(error, 413 if len(body) > self.longest else 400, path, scope, send)
            return
        given = False

        async def replay() -> Message:
            nonlocal given
            if given:
                return await receive()
            given = True
            return {"type": "http.request", "body": body, "more_body": False}

        await self.app(scope, replay, send)

    async def _whole(self, receive: Receive) -> bytes | None:
        """The body, no more of it than shows that it is too long; None where it ended before its end."""
        body, read = bytearray(), 0
        while True:
            async with asyncio.timeout(self.part_s):
                message = await receive()
            if message["type"] != "http.request":
                return None
            part = message.get("body", b"")
            read += len(part)
            if len(body) <= self.longest:
                body += part[: self.longest + 1]
            elif read > READ_ON:
                return bytes(body)
            if not message.get("more_body"):
                return bytes(body)

    def _in_time(self, receive: Receive) -> Receive:
        begun = over = False

        async def next_part() -> Message:
            """A part within its time, or the end, as if the sender had gone."""
            nonlocal begun, over
            if over:
                return await receive()
            try:
                async with asyncio.timeout(self.part_s):
                    message = await receive()
            except TimeoutError:
                message = {"type": "http.disconnect"}
            over = not message.get("more_body")
            return message

        return next_part


def check(body: bytes) -> None:
    """Raises BadPost for JSON that is nested deeper than anything of ours, or has a number that no computer takes."""
    if body.count(b"[") + body.count(b"{") > DEEPEST:
        depth = 0
        for mark in re.findall(rb"[\[\]{}]", _STRING.sub(b"", body)):
            depth += 1 if mark in b"[{" else -1
            if depth > DEEPEST:
                raise BadPost(reason=f"it is nested more than {DEEPEST} deep")
    if _LONG_NUMBER.search(body) and _LONG_NUMBER.search(_STRING.sub(b"", body)):
        raise BadPost(reason="it has a number of hundreds of digits")


async def _refuse(error: PaddockError, status: int, path: str, scope: Scope, send: Send) -> None:
    """The sentence in the form of the door."""
    LocalContext.request.set(gr.Request(Request(scope)))  # whose language it has
    said = " ".join(error_sentences(error))
    form = {"jsonrpc": "2.0", "id": None, "error": {"code": -32600, "message": said}} if path.startswith(MCP) else None
    body = json.dumps(form or {"error": said, "detail": said}, ensure_ascii=False).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": [*headers, (b"connection", b"close")]})
    await send({"type": "http.response.body", "body": body})
