"""Gradio's own scripts and styles, answered from memory once they were read and compressed."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from gradio.route_utils import BUILD_PATH_LIB
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

FOLDER = "/assets/"
ENCODINGS = ("br", "gzip")
# Each name holds a hash of its content.
STAYS = (b"cache-control", b"public, max-age=31536000, immutable")
# What makes an answer another one than the whole file.
PASSED = ("range", "if-none-match", "if-modified-since")


class KeptAssets:
    """ASGI middleware that keeps the app's answer for each file of Gradio's page, and lets browsers keep it too.

    A page asks for a hundred of them; from the disk each takes several turns of a thread, and is compressed anew.
    """

    def __init__(self, app: ASGIApp, folder: Path = Path(BUILD_PATH_LIB)) -> None:
        self.app = app
        self.names = frozenset(file.name for file in folder.iterdir())
        self.kept: dict[tuple[str, str], tuple[Message, Message]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if (asked := self._asked(scope)) is None:
            return await self.app(scope, receive, send)
        if asked in self.kept:
            for message in self.kept[asked]:
                await send(message)
            return None
        start: Message | None = None
        parts: list[bytes] = []

        async def keeping(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start":
                if message["status"] == 200:
                    message = start = {**message, "headers": [*message["headers"], STAYS]}
            elif start:
                parts.append(message.get("body", b""))
                if not message.get("more_body"):
                    self.kept[asked] = _whole(start, b"".join(parts))
            await send(message)

        return await self.app(scope, receive, keeping)

    def _asked(self, scope: Scope) -> tuple[str, str] | None:
        """The name of the file and how it is compressed; None for anything else, and for a part of one."""
        if scope["type"] != "http" or scope["method"] != "GET":
            return None
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        name = path.removeprefix(FOLDER)
        if name == path or name not in self.names:
            return None
        headers = Headers(scope=scope)
        taken = headers.get("accept-encoding", "")
        encoding = next((each for each in ENCODINGS if each in taken), None)
        if encoding is None or any(header in headers for header in PASSED) or _from_elsewhere(headers):
            return None
        return name, encoding


def _from_elsewhere(headers: Headers) -> bool:
    """Whether a page of another server asks, to which the app says what it may read; modules name their own, too."""
    return "origin" in headers and urlsplit(headers["origin"]).netloc != headers.get("host")


def _whole(start: Message, body: bytes) -> tuple[Message, Message]:
    """An answer that came in parts, as one, for whoever asks."""
    own = (b"content-length", b"access-control-")
    headers = [(name, value) for name, value in start["headers"] if not name.lower().startswith(own)]
    headers.append((b"content-length", str(len(body)).encode()))
    return {**start, "headers": headers}, {"type": "http.response.body", "body": body}
