"""The page's state in its address: which variant or variants, which prompt, which tab."""

from __future__ import annotations

import base64
import json
import zlib
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlencode

from models.domain.errors import BadHistory, PaddockError, SamplingOutOfBounds, TooLongForLink
from models.domain.memory.hardware import find_hardware
from models.domain.messages import BOUNDS, Sampling
from models.domain.variant import LONGEST_SPELLING, Variant

from .sampling import read_stops, write_stops

LONGEST = 4000  # characters of one text in an address; proxies take no longer ones, and half a text is another one
LONGEST_CONVERSATION = 100_000  # bytes that one in an address may unpack to
TEXTS = {"system": "system prompt", "prompt": "prompt"}
MOST_VARIANTS = 16  # of a comparison in an address; the server has its own limit

T = TypeVar("T")


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

    def usable(otherwise: T, reading: Callable[..., T], *given: Any) -> T:
        try:
            return reading(*given)
        except PaddockError as error:
            errors.append(error)
            return otherwise

    said = defaultdict(str, query)
    variant = usable(None, _read_variant, said["variant"], models)
    reference = usable(None, _read_variant, said["reference"], models)
    spellings = said["variants"].split(",")[:MOST_VARIANTS]
    state = PageState(
        variant,
        unread="" if variant else said["variant"][: LONGEST_SPELLING + 1],
        reference=reference,
        variants=tuple(found for text in spellings if (found := usable(None, _read_variant, text, models))),
        sampling=usable(None, _read_sampling, query),
        **{name: usable("", _short, name, said[name]) for name in TEXTS},
        tab=said["tab"] if said["tab"] in tabs else "",
        hardware=usable("", lambda text: find_hardware(text).key if text else "", said["hardware"]),
        conversation=usable((), _read_conversation, said["conversation"]),
    )
    return state, errors


def _read_conversation(text: str) -> tuple[str, ...]:
    if not text:
        return ()
    try:
        packed = base64.urlsafe_b64decode(text[:LONGEST])
        found = json.loads(zlib.decompressobj().decompress(packed, LONGEST_CONVERSATION))
    except (ValueError, RecursionError, zlib.error):  # ValueError: of base64, UTF-8 and JSON
        found = None
    if not isinstance(found, list) or not all(isinstance(part, str) for part in found):
        raise BadHistory(reason="it cannot be read")
    return tuple(found)


def _written(conversation: tuple[str, ...]) -> str:
    packed = zlib.compress(json.dumps(conversation, ensure_ascii=False).encode("utf-8", "replace"), 9)
    text = base64.urlsafe_b64encode(packed).decode()
    if len(text) > LONGEST:
        raise TooLongForLink(name="packed conversation", characters=len(text), limit=LONGEST)
    return text


def _short(name: str, text: str) -> str:
    if len(text) > LONGEST:
        raise TooLongForLink(name=TEXTS[name], characters=len(text), limit=LONGEST)
    return text


def _read_variant(text: str, models: Collection[str]) -> Variant | None:
    """What a text spells; a plus that was put into an address by hand arrives as a space."""
    return Variant.parse(text.replace(" ", "+") if _names_a_model(text, models) else text) if text else None


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
    sampling, usual = state.sampling or Sampling(), Sampling()
    changed = {name: value for name in (*BOUNDS, "seed") if (value := getattr(sampling, name)) != getattr(usual, name)}
    pairs = {
        "variant": str(state.variant or ""),
        **{name: str(value).removesuffix(".0") for name, value in changed.items()},
        "stop": write_stops(sampling.stop),
        **{name: _short(name, getattr(state, name)) for name in TEXTS},
        "variants": ",".join(map(str, state.variants[:MOST_VARIANTS])),
        "reference": str(state.reference or ""),
        "conversation": _written(state.conversation) if state.conversation else "",
        "hardware": state.hardware,
        "tab": state.tab,
    }
    return urlencode({name: text for name, text in pairs.items() if text}, errors="replace")
