"""Where this page is found: its own address, and on a Space the Hub's page around it."""

from __future__ import annotations

import os

import gradio as gr
from gradio.utils import get_space

HUB = "https://huggingface.co/spaces/"


def address_of(request: gr.Request) -> str:
    """The page's address without a query and without a slash at its end; a Space knows its own.

    Elsewhere it is what the visitor's browser names, so that one behind a proxy or under a path is right too.
    """
    if get_space() and (host := os.environ.get("SPACE_HOST")):
        return f"https://{host}"
    said = request.headers.get("referer") or request.request.base_url
    return str(said).partition("?")[0].partition("#")[0].rstrip("/")


def hub_page() -> str:
    """The Space's page on the Hub, where visitors are signed in; empty elsewhere."""
    return f"{HUB}{space}" if (space := get_space()) else ""
