"""What is said of adapters: their lines in the picker, and the notes under it. Pure; all is escaped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from models.domain.variant import Variant


def short(name: str) -> str:
    """A name that no table gives a title."""
    return f"your upload …{name[-4:]}" if name.startswith("upload-") else name


def found(adapter: Mapping[str, Any]) -> str:
    """A line of a search: the Hub id, and how often it was fetched."""
    count = adapter["downloads"]
    many = f"{count / 1000:.0f}k" if count >= 10_000 else f"{count:,}"
    return f"{adapter['hub_id']} · {many} downloads"


def notes(variant: Variant, listed: Sequence[Mapping[str, Any]], warnings: Sequence[str]) -> str:
    """What the picked adapters do, as far as it is known, and why one may not belong to this base."""
    about = {entry["key"]: entry for entry in listed}
    lines = []
    for adapter in variant.adapters:
        if (entry := about.get(adapter.name)) and entry["summary"]:
            lines.append(f"<b>{escape(entry['title'])}</b> {escape(entry['summary'])}")
    drawn = "".join(f"<li>{line}</li>" for line in lines)
    drawn += "".join(f'<li class="warning">{escape(warning)}</li>' for warning in warnings)
    return f'<ul class="quiet adapter-notes">{drawn}</ul>' if drawn else ""


def searched(found: Sequence[Mapping[str, Any]], model: str) -> str:
    """What a search brought, in a sentence."""
    if not found:
        sentence = f"No adapters registered for {model} were found, or the Hub is out of reach."
    else:
        sentence = f"{len(found)} adapters registered for {model} are in the list now, the most downloaded first."
    return f'<p class="quiet">{escape(sentence)}</p>'
