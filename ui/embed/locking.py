"""Where the Share panel has a link signed, by whoever knows the operator's key."""

from __future__ import annotations

import asyncio
import hmac
import json
from typing import Any

import gradio as gr
from gradio.context import LocalContext
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from models.domain.errors import BadLock, LinkKeyRefused, PaddockError
from models.domain.locks import locked
from models.domain.settings import Settings

from ..shared.language import error_sentences

LONGEST = 100_000  # bytes of a body
PAUSE_S = 0.5  # after a wrong key


def build_locking(settings: Settings) -> list[Route]:
    """POST /lock with `link`, `embed` and `key`, where the operator has set a key; no page keeps or shows it."""

    async def lock(request: Request) -> Response:
        LocalContext.request.set(gr.Request(request))  # whose language the sentences have
        try:
            asked = _read(await request.body())
            if not hmac.compare_digest(asked["key"].encode("utf-8", "replace"), settings.link_key.encode()):
                await asyncio.sleep(PAUSE_S)
                raise LinkKeyRefused
            return JSONResponse({"link": locked(settings.link_key, asked["link"], asked["embed"])})
        except PaddockError as error:
            return JSONResponse({"error": " ".join(error_sentences(error))}, 400)

    return [Route("/lock", lock, methods=["POST"])] if settings.link_key else []


def _read(body: bytes) -> dict[str, Any]:
    try:
        asked = json.loads(body) if len(body) <= LONGEST else None
    except (ValueError, RecursionError):
        asked = None
    if not isinstance(asked, dict) or not all(isinstance(asked.get(name), str) for name in ("link", "embed", "key")):
        raise BadLock(reason="it was not sent as link, embed and key")
    return asked
