"""Who asks: a browser session, and his own Hub token if he signed in."""

from __future__ import annotations

from dataclasses import dataclass, field

import gradio as gr


@dataclass(frozen=True)
class Visitor:
    """Made for one event and dropped after it; the token never shows in a repr."""

    session: str
    token: str | None = field(default=None, repr=False)

    @classmethod
    def of(cls, request: gr.Request, token: gr.OAuthToken | None) -> Visitor:
        """The visitor behind a Gradio event."""
        return cls(str(request.session_hash), token.token if token else None)
