"""The script of the web component, for pages of any origin."""

from __future__ import annotations

from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

SCRIPT = Path(__file__).with_name("component.js")


def build_component() -> list[Route]:
    """GET /component.js, which defines `<paddock-app>`."""

    async def component(request: Request) -> Response:
        headers = {"access-control-allow-origin": "*", "cache-control": "public, max-age=3600"}
        return Response(SCRIPT.read_text(encoding="utf-8"), media_type="text/javascript", headers=headers)

    return [Route("/component.js", component)]
