"""What is in memory, as a list with a button a line. Pure; everything from outside is escaped."""

from __future__ import annotations

import time
from collections.abc import Iterable
from html import escape
from typing import Any

from models.domain.units import size


def held(lines: Iterable[Any]) -> str:
    """The models in memory, and a button that takes each out of it."""
    rows = "".join(_row(line) for line in lines)
    if not rows:
        return '<p class="quiet">Nothing yet: the first answer loads it.</p>'
    return f'<table class="held">{rows}</table>'


def _row(line: Any) -> str:
    name = escape(line.name)
    return (
        f"<tr><td><b>{name}</b><br><small>{_figures(line)}</small></td>"
        f'<td><button type="button" class="small-button" data-press="{name}" aria-label="Eject {name}" '
        f'title="take it out of memory">Eject</button></td></tr>'
    )


def _figures(line: Any) -> str:
    if not line.engine:
        return f"loading · {size(line.predicted_bytes)} predicted"
    bytes_ = f'<span title="bytes of the weights as loaded, and as planned">{size(line.bytes)} measured, '
    bytes_ += f"{size(line.predicted_bytes)} predicted</span>"
    return " · ".join([escape(line.engine), bytes_, *_adapters(line), _ago(line)])


def _adapters(line: Any) -> list[str]:
    """How many adapters stay beside a model; their names are their users' own business."""
    if not line.attached:
        return []
    count, bytes_ = len(line.attached), size(sum(adapter.bytes for adapter in line.attached))
    return [f'<span title="attached for the next answer">{count} adapter{"s"[: count > 1]}, {bytes_}</span>']


def _ago(line: Any) -> str:
    if line.users:
        return "in use"
    seconds = max(0, time.time() - line.last_used)
    return "just now" if seconds < 60 else f"{seconds / 60:.0f} min ago"
