"""For who watches the server: whether it lives, and for its operator alone what it has done."""

from __future__ import annotations

import base64
import binascii
import hmac
from html import escape
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

if TYPE_CHECKING:
    from models.runtime import Runtime

ASK = {"www-authenticate": 'Basic realm="Paddock", charset="UTF-8"'}


def build_watching(runtime: Runtime) -> list[Route]:
    """/healthz for everybody, and /operator, by its key as the password of any name, where the operator has set one."""
    key = runtime.settings.operator_key

    async def healthz(request: Request) -> Response:
        return JSONResponse({"status": "ok"}, headers={"cache-control": "no-store"})

    async def operator(request: Request) -> Response:
        if not hmac.compare_digest(_password(request.headers.get("authorization", "")), key.encode()):
            return Response("The operator's key is needed.", 401, ASK)
        counts = runtime.counts()
        if request.query_params.get("format") == "json":
            return JSONResponse(counts, headers={"cache-control": "no-store"})
        return HTMLResponse(page(counts), headers={"cache-control": "no-store"})

    return [Route("/healthz", healthz), *([Route("/operator", operator)] if key else [])]


def page(counts: dict[str, Any]) -> str:
    """The counts as a page that reloads itself."""
    rows = "".join(f"<tr><th>{escape(name)}</th><td>{_cell(value)}</td></tr>" for name, value in counts.items())
    style = "body{font:1rem system-ui;margin:2rem}th{text-align:left;vertical-align:top;padding-right:2rem}"
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f'<meta http-equiv="refresh" content="30"><title>Paddock</title><style>{style}</style>'
        f"<h1>Since the start</h1><table>{rows}</table></html>"
    )


def _cell(value: Any) -> str:
    if isinstance(value, dict):
        return "<br>".join(f"{escape(str(name))}: {count:,}" for name, count in value.items()) or "none"
    return f"{value:,}" if isinstance(value, int | float) else escape(str(value))


def _password(authorization: str) -> bytes:
    kind, _, given = authorization.partition(" ")
    try:
        return base64.b64decode(given).partition(b":")[2] if kind.lower() == "basic" else b""
    except (binascii.Error, ValueError):
        return b""
