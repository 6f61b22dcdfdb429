"""The page's state in its address: which variant or variants, which prompt, which tab."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from models.domain.errors import BadHistory, InputError, PaddockError, SamplingOutOfBounds, TooLongForLink
from models.domain.memory.hardware import find_hardware
from models.domain.messages import BOUNDS, Sampling
from models.domain.variant import LONGEST_SPELLING, Variant

from .sampling import read_stops, write_stops

LONGEST = 4000  # characters of one text in an address; proxies take no longer ones, and half a text is another one
LONGEST_CONVERSATION = 100_000  # bytes that one in an address may unpack to
TEXTS = {"system": "system prompt", "prompt": "prompt"}
MOST_VARIANTS = 16  # of a comparison in an address; the server has its own limit


@dataclass(frozen=True)
class PageState:
    """What a link can carry; None means that the link does not say."""

    variant: Variant | None = None
    sampling: Sampling | None = None
    system: str = ""
    prompt: str = ""
    tab: str = ""  # the first
    variants: tuple[Variant, ...] = ()  # of a comparison
    reference: Variant | None = None
    hardware: str = ""  # that is planned for, by its key or GB; this machine
    conversation: tuple[str, ...] = ()  # questions and answers in turns, the first a question
    unread: str = ""  # what stands where a variant should, and is none


def read(
    query: Mapping[str, str], tabs: Collection[str] = (), models: Collection[str] = ()
) -> tuple[PageState, list[PaddockError]]:
    """The state in a query string, and an error for each part that could not be used.

    `tabs` are the names of those that can be opened, `models` those of listed models. Never raises.
    """
    errors: list[PaddockError] = []
    sampling = None
    variant = _read_variant(query.get("variant", ""), models, errors)
    unread = "" if variant else query.get("variant", "")[: LONGEST_SPELLING + 1]
    reference = _read_variant(query.get("reference", ""), models, errors)
    spellings = query.get("variants", "").split(",")[:MOST_VARIANTS]
    variants = tuple(found for text in spellings if (found := _read_variant(text, models, errors)))
    try:
        sampling = _read_sampling(query)
    except InputError as error:
        errors.append(error)
    texts = {name: _read_text(name, query.get(name, ""), errors) for name in TEXTS}
    tab = query.get("tab", "")
    tab = tab if tab in tabs else ""
    hardware = _read_hardware(query.get("hardware", ""), errors)
    state = PageState(
        variant,
        sampling,
        **texts,
        tab=tab,
        variants=variants,
        reference=reference,
        hardware=hardware,
        conversation=_read_conversation(query.get("conversation", ""), errors),
        unread=unread,
    )
    return state, errors


def _read_conversation(text: str, errors: list[PaddockError]) -> tuple[str, ...]:
    if not text:
        return ()
    try:
        packed = base64.urlsafe_b64decode(text[:LONGEST])
        found = json.loads(zlib.decompressobj().decompress(packed, LONGEST_CONVERSATION))
    except (ValueError, RecursionError, zlib.error):  # ValueError: of base64, UTF-8 and JSON
        found = None
    if not isinstance(found, list) or not all(isinstance(part, str) for part in found):
        errors.append(BadHistory(reason="it cannot be read"))
        return ()
    return tuple(found)


def _written(conversation: tuple[str, ...]) -> str:
    packed = zlib.compress(json.dumps(conversation, ensure_ascii=False).encode("utf-8", "replace"), 9)
    text = base64.urlsafe_b64encode(packed).decode()
    if len(text) > LONGEST:
        raise TooLongForLink(name="packed conversation", characters=len(text), limit=LONGEST)
    return text


def _read_hardware(text: str, errors: list[PaddockError]) -> str:
    try:
        return find_hardware(text).key if text else ""
    except PaddockError as error:
        errors.append(error)
        return ""


def _read_text(name: str, text: str, errors: list[PaddockError]) -> str:
    try:
        return _short(name, text)
    except PaddockError as error:
        errors.append(error)
        return ""


def _short(name: str, text: str) -> str:
    if len(text) > LONGEST:
        raise TooLongForLink(name=TEXTS[name], characters=len(text), limit=LONGEST)
    return text


def _read_variant(text: str, models: Collection[str], errors: list[PaddockError]) -> Variant | None:
    """What a text spells; a plus that was put into an address by hand arrives as a space."""
    try:
        return Variant.parse(text.replace(" ", "+") if _names_a_model(text, models) else text) if text else None
    except PaddockError as error:
        errors.append(error)
        return None


def _names_a_model(text: str, models: Collection[str]) -> bool:
    head = text.partition(" ")[0]
    return "@" in text or "/" in head or head.lower() in models


def _read_sampling(query: Mapping[str, str]) -> Sampling | None:
    values: dict[str, Any] = {}
    for name in (*BOUNDS, "seed"):
        if not query.get(name):
            continue
        try:
            values[name] = float(query[name])
        except ValueError:
            raise SamplingOutOfBounds(name=name, value=query[name][:40], wanted="a number") from None
    if query.get("stop"):  # one text a line, as in the page's box
        values["stop"] = read_stops(query["stop"])
    return Sampling(**values) if values else None


def write(state: PageState) -> str:
    """The query string of a state, without what is at its default; `read` gives the same state back.

    Raises TooLongForLink.
    """
    pairs: dict[str, str] = {}
    if state.variant is not None:
        pairs["variant"] = str(state.variant)
    if state.sampling is not None:
        default = Sampling()
        for name in (*BOUNDS, "seed"):
            if (value := getattr(state.sampling, name)) != getattr(default, name):
                pairs[name] = str(value).removesuffix(".0")
        if state.sampling.stop:
            pairs["stop"] = write_stops(state.sampling.stop)
    for name in TEXTS:
        if text := getattr(state, name):
            pairs[name] = _short(name, text)
    if state.variants:
        pairs["variants"] = ",".join(map(str, state.variants[:MOST_VARIANTS]))
    if state.reference is not None:
        pairs["reference"] = str(state.reference)
    if state.conversation:
        pairs["conversation"] = _written(state.conversation)
    if state.hardware:
        pairs["hardware"] = state.hardware
    if state.tab:
        pairs["tab"] = state.tab
    return urlencode(pairs, errors="replace")
