"""Which language a visitor reads, and the page's sentences in it.

English stands in the code, as the key of its translation in `ui/chinese/`: `say("{count} tokens", count=3)`.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from gradio.context import LocalContext

from models.domain.errors import PaddockError

TABLES = Path(__file__).parents[1] / "chinese"
ENGLISH, CHINESE = "en", "zh"


def language() -> str:
    """The language of the visitor whose event is handled: of the address, else the first of the browser's."""
    request = LocalContext.request.get(None)
    if request is None:
        return ENGLISH
    wanted = str(request.query_params.get("lang") or request.headers.get("accept-language") or "")
    return CHINESE if re.match(r"\s*zh\b", wanted, re.IGNORECASE) else ENGLISH


@cache
def chinese(folder: Path = TABLES) -> Mapping[str, Mapping[str, str]]:
    """All tables in one: `page` by English sentence, and `sentence` and `next_step` of the errors by their code."""
    merged: dict[str, dict[str, str]] = {"page": {}, "sentence": {}, "next_step": {}}
    for path in sorted(folder.glob("*.toml")):
        for section, entries in tomllib.loads(path.read_text(encoding="utf-8")).items():
            merged[section] |= entries
    return merged


def say(english: str, **values: Any) -> str:
    """A sentence for the visitor, with its values filled in; English where it has no translation yet."""
    spoken = chinese()["page"].get(english, english) if language() == CHINESE else english
    return spoken.format(**values) if values else spoken


def error_sentences(failure: PaddockError) -> tuple[str, str]:
    """What happened and what to do next, for the visitor."""
    if language() == CHINESE:
        table = chinese()
        sentence, hint = (table[name].get(failure.code) for name in ("sentence", "next_step"))
        if sentence is not None:
            return sentence.format(**failure.facts), (hint or "").format(**failure.facts)
    return failure.message, failure.hint
