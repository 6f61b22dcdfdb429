"""Which language a visitor reads, and the page's sentences in it.

English stands in the code, as the key of its translation in `ui/chinese/`: `say("{count} tokens", count=3)`. What the
domain says (reasons, warnings, what a figure means) crosses processes as finished English, so it is found by its form.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from functools import cache, lru_cache
from pathlib import Path
from string import Formatter
from typing import Any

from gradio.context import LocalContext

from models.domain.errors import PaddockError, error_kinds

TABLES = Path(__file__).parents[1] / "chinese"
ENGLISH, CHINESE = "en", "zh"
LONGEST_FORM = 1000  # characters of a text that is looked up by its form
_TYPED = frozenset({"text", "value", "hardware", "token", "model", "variant", "adapter"})  # facts that are names


def language() -> str:
    """The language of the page, as the visitor whose event is handled reads it."""
    return CHINESE if visitors_language() == CHINESE else ENGLISH


def visitors_language() -> str:
    """The ISO 639-1 code of their own language: of the address, else the first of the browser's."""
    request = LocalContext.request.get(None)
    if request is None:
        return ENGLISH
    wanted = str(request.query_params.get("lang") or request.headers.get("accept-language") or "")
    found = re.match(r"\s*([a-z]{2})\b", wanted, re.IGNORECASE)
    return found[1].lower() if found else ENGLISH


@cache
def chinese(folder: Path = TABLES) -> Mapping[str, Mapping[str, str]]:
    """All tables in one: `page` and `domain` by English text, `sentence` and `next_step` by an error's code."""
    merged: dict[str, dict[str, str]] = {"page": {}, "domain": {}, "sentence": {}, "next_step": {}}
    for path in sorted(folder.glob("*.toml")):
        for section, entries in tomllib.loads(path.read_text(encoding="utf-8")).items():
            merged[section] |= entries
    return merged


def say(english: str, **values: Any) -> str:
    """A sentence for the visitor, with its values filled in; English where it has no translation yet.

    Without values it may be one that the domain made, with its values in it, and is looked up by its form.
    """
    if language() != CHINESE:
        return english.format(**values) if values else english
    spoken = chinese()["page"].get(english)
    if values:
        return (spoken or english).format(**values)
    return spoken or in_chinese(english)


def error_sentences(failure: PaddockError) -> tuple[str, str]:
    """What happened and what to do next, for the visitor."""
    if language() != CHINESE:
        return failure.message, failure.hint
    facts = {name: _fact(name, value) for name, value in failure.facts.items()}
    sentence, hint = (part.format(**facts) for part in _parts(type(failure)))
    return sentence, hint


def _parts(kind: type[PaddockError]) -> tuple[str, str]:
    sentence, hint = (chinese()[part].get(kind.code, getattr(kind, part)) for part in ("sentence", "next_step"))
    return sentence, hint


def _fact(name: str, value: Any) -> Any:
    """A fact in Chinese, except a name that somebody gave."""
    if not isinstance(value, str) or (name in _TYPED and " " not in value):
        return value
    return in_chinese(value)


@lru_cache(maxsize=2000)
def in_chinese(text: str) -> str:
    """A text that the domain made, in Chinese where its form is known, and what it quotes likewise."""
    if text in (whole := chinese()["domain"]):
        return whole[text]
    if len(text) <= LONGEST_FORM:
        for literals, pattern, spoken in _forms():
            if all(literal in text for literal in literals) and (found := pattern.fullmatch(text)):
                return spoken.format(**{name: in_chinese(value) for name, value in found.groupdict().items()})
    return text


@cache
def _forms() -> list[tuple[tuple[str, ...], re.Pattern[str], str]]:
    """Every text with values in it: its fixed parts, the pattern of its English, and its Chinese; the surest first."""
    texts = {english: spoken for english, spoken in chinese()["domain"].items() if "{" in english}
    for kind in error_kinds().values():
        texts[f"{kind.sentence} {kind.next_step}"] = "".join(_parts(kind))
    forms = [(*_pattern(english), spoken) for english, spoken in texts.items()]
    return sorted(forms, key=lambda form: -sum(map(len, form[0])))


def _pattern(english: str) -> tuple[tuple[str, ...], re.Pattern[str]]:
    literals, written, seen = [], "", set[str]()
    for literal, name, _, _ in Formatter().parse(english):
        literals.append(literal)
        written += re.escape(literal)
        if name is not None:
            written += f"(?P={name})" if name in seen else f"(?P<{name}>.+?)"
            seen.add(name)
    return tuple(literals), re.compile(written, re.DOTALL)
