"""Who may use the workshop and train: both write to the server's disk, with its token."""

from __future__ import annotations

import hmac
from urllib.parse import urlsplit

import gradio as gr

from models.domain.errors import WorkshopClosed
from models.domain.settings import Settings

from .text import t

HERE = ("localhost", "127.0.0.1", "::1")
FORWARDED = ("forwarded", "x-forwarded-for", "x-real-ip")


def require(settings: Settings, request: gr.Request, key: object) -> None:
    """Raise WorkshopClosed for all but the operator: by the key where there is one, else by being at this machine."""
    if settings.operator_key:
        if not hmac.compare_digest(str(key or "").encode(), settings.operator_key.encode()):
            raise WorkshopClosed
        return
    # Neither through a proxy or a tunnel, nor from a page of others, which may have given its name to this address.
    host = urlsplit(f"//{request.headers.get('host', '')}")
    came = request.client.host if request.client else ""
    from_others = request.headers.get("origin") and urlsplit(request.headers["origin"]).netloc != host.netloc
    if came not in HERE or host.hostname not in HERE or from_others:
        raise WorkshopClosed
    if any(name in request.headers for name in FORWARDED):
        raise WorkshopClosed


def key_box(settings: Settings, elem_id: str) -> gr.Textbox:
    """Where the operator types the key; hidden where there is none."""
    return gr.Textbox(label=t("workshop_key"), type="password", visible=bool(settings.operator_key), elem_id=elem_id)
