"""A quiet note before the first answer: the picked model does not speak the visitor's language. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from models.domain.catalog import is_toy
from models.domain.languages import NAMES, speaks
from models.domain.memory.model_info import ModelInfo

from .language import say

MOST_NAMED = 2


def language_note(info: ModelInfo, wanted: str, models: Iterable[ModelInfo]) -> str:
    """What to expect of a model in the language `wanted` and two others that speak it; empty where there is no need.

    The others are models of the same kind that fit, as buttons that pick them: the smallest, but for toys and for those
    that need an account or only say that they speak many languages.
    """
    if wanted not in NAMES or speaks(info.languages, wanted):
        return ""
    spoken = ", ".join(say(NAMES[code]) for code in info.languages if code in NAMES)
    asked = say(NAMES[wanted])
    note = escape(
        say(
            "{model} was trained on {languages}; answers in {language} will be poor.",
            model=info.title,
            languages=spoken,
            language=asked,
        )
    )
    others = [one for one in models if one.kind == info.kind and one.fits and one.languages]
    others = [one for one in others if speaks(one.languages, wanted)]
    others.sort(key=lambda one: (is_toy(one.parameters), one.gated, wanted not in one.languages, one.parameters))
    if others:
        lead = say("Models here that speak {language}:", language=asked)
        buttons = [
            f'<button type="button" class="inline" data-press="{escape(one.key)}">{escape(one.title)}</button>'
            for one in others[:MOST_NAMED]
        ]
        note += f" {escape(lead)} {''.join(buttons)}"
    return f'<p class="quiet language-note">{note}</p>'
