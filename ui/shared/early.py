"""A script that runs before Gradio does, so that theme and language are known before anything is drawn.

Gradio inserts what it is given as `head` only after it has chosen both.
"""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEAD = b"<head>"


class EarlyScript:
    """ASGI middleware that puts a script at the beginning of every HTML page."""

    def __init__(self, app: ASGIApp, script: str) -> None:
        self.app, self.script = app, f"{HEAD.decode()}<script>{script}</script>".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "GET":
            return await self.app(scope, receive, send)
        started: Message = {}

        async def with_script(message: Message) -> None:
            """A page is one body; what is no page passes as it is."""
            nonlocal started
            if message["type"] == "http.response.start" and _is_page(message):
                started = message
                return
            if started and message["type"] == "http.response.body":
                body = message["body"].replace(HEAD, self.script, 1)
                grown = len(body) - len(message["body"])
                headers = [
                    (name, str(int(value) + grown).encode() if name.lower() == b"content-length" else value)
                    for name, value in started["headers"]
                ]
                await send({**started, "headers": headers})
                started, message = {}, {**message, "body": body}
            await send(message)

        return await self.app(scope, receive, with_script)


def _is_page(message: Message) -> bool:
    return any(name.lower() == b"content-type" and value.startswith(b"text/html") for name, value in message["headers"])
