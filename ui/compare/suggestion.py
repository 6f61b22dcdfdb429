"""What to choose, and why. Pure; everything from outside is escaped."""

from __future__ import annotations

from html import escape

from models.domain.results.suggestion import Suggestion


def suggestion(found: Suggestion | None) -> str:
    """The sentence, and the rule behind it; empty where there is none."""
    if found is None:
        return ""
    return f'<p class="conclusion"><b>{escape(found.sentence)}</b> <span class="quiet">{escape(found.rule)}</span></p>'
