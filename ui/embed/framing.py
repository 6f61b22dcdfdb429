"""Which pages may show this one in a frame."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

OPERATORS = ("/operator", "/healthz")


class FrameAncestors:
    """ASGI middleware that adds `frame-ancestors` to every page; those of the operator are framed by nobody."""

    def __init__(self, app: ASGIApp, ancestors: str) -> None:
        self.app, self.ancestors = app, ancestors

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        allowed = "'none'" if scope["path"].rstrip("/") in OPERATORS else self.ancestors
        policy = (b"content-security-policy", f"frame-ancestors {allowed}".encode("latin-1"))

        async def with_policy(message: Message) -> None:
            if message["type"] == "http.response.start" and _is_page(message, scope):
                message = {**message, "headers": [*message["headers"], policy]}
            await send(message)

        return await self.app(scope, receive, with_policy)


def _is_page(message: Message, scope: Scope) -> bool:
    html = any(k.lower() == b"content-type" and v.startswith(b"text/html") for k, v in message["headers"])
    return html or scope["path"].rstrip("/") in OPERATORS
