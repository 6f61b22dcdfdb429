"""The page's state in its address: which variant, which prompt, which tab."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from models.spec.errors import InputError, PaddockError, SamplingOutOfBounds
from models.spec.messages import BOUNDS, Sampling
from models.spec.variant import Variant

TABS = ("chat", "complete", "measure")
LONGEST = 4000  # characters of one text in an address; longer ones are cut by proxies anyway
TEXTS = ("system", "prompt")


@dataclass(frozen=True)
class PageState:
    """What a link can carry; None means that the link does not say."""

    variant: Variant | None = None
    sampling: Sampling | None = None
    system: str = ""
    prompt: str = ""
    tab: str = "chat"


def read(query: Mapping[str, str]) -> tuple[PageState, list[PaddockError]]:
    """The state in a query string, and an error for each part that could not be used; never raises."""
    errors: list[PaddockError] = []
    variant = sampling = None
    try:
        variant = Variant.parse(query["variant"]) if query.get("variant") else None
    except PaddockError as error:
        errors.append(error)
    try:
        sampling = _read_sampling(query)
    except InputError as error:
        errors.append(error)
    texts = {name: query.get(name, "")[:LONGEST] for name in TEXTS}
    tab = query.get("tab", "chat")
    return PageState(variant, sampling, **texts, tab=tab if tab in TABS else "chat"), errors


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
        values["stop"] = tuple(line.replace("\\n", "\n") for line in query["stop"].split("\n") if line)
    return Sampling(**values) if values else None


def write(state: PageState) -> str:
    """The query string of a state, without what is at its default; `read` gives the same state back."""
    pairs: dict[str, str] = {}
    if state.variant is not None:
        pairs["variant"] = str(state.variant)
    if state.sampling is not None:
        default = Sampling()
        for name in (*BOUNDS, "seed"):
            if (value := getattr(state.sampling, name)) != getattr(default, name):
                pairs[name] = str(value).removesuffix(".0")
        if state.sampling.stop:
            pairs["stop"] = "\n".join(text.replace("\n", "\\n") for text in state.sampling.stop)
    for name in TEXTS:
        if text := getattr(state, name):
            pairs[name] = text[:LONGEST]
    if state.tab != "chat":
        pairs["tab"] = state.tab
    return urlencode(pairs, errors="replace")
