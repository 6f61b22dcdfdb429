"""What the workshop does and has done, as HTML. Pure."""

from __future__ import annotations

import time
from collections.abc import Sequence
from html import escape

from models.domain.units import size
from models.weights.kept import Kept
from models.workshop.asked import Work

from ..shared import render
from ..shared.language import say

DAY_S = 86400.0
STAGES = {**render.STAGES, "convert": "Writing", "read": "Reading the weights"}


def off() -> str:
    """Why there is no workshop here."""
    words = say(
        "The workshop is off here: it writes to the server's disk and publishes with its token. Whoever runs Paddock "
        "on a machine of their own has it; here it takes PADDOCK_WORKSHOP=1 and PADDOCK_OPERATOR_KEY."
    )
    return f'<p class="quiet">{escape(words)}</p>'


def status(work: Work | None) -> str:
    """The line of what is being done, or how it ended."""
    if work is None:
        return ""
    if work.error:
        return render.error(work.error)
    if work.stopped:
        return render.said(say("Stopped. The same again goes on where it was."))
    if work.ended:
        return render.said(say("Done."))
    return render.progress(work.step, STAGES) if work.step else render.waiting()


def result(work: Work | None) -> str:
    """What there is to read."""
    if work is None or not work.lines:
        return ""
    return f'<pre class="workshop-lines" tabindex="0">{escape(chr(10).join(work.lines))}</pre>'


def disk(found: Sequence[Kept], free: int) -> str:
    """The table of what lies on the disk."""
    if not found:
        return f'<p class="quiet">{escape(say("Nothing of models lies on this disk yet."))}</p>'
    head = "".join(f"<th>{escape(say(name))}</th>" for name in ("Name", "Size", "Last use"))
    rows = "".join(
        f"<tr><td>{escape(each.name)}</td><td>{size(each.bytes)}</td>"
        f"<td>{escape(say('in use') if each.in_use else ago(each.used))}</td></tr>"
        for each in found
    )
    total = say("{size} in all, {free} are free", size=size(sum(each.bytes for each in found)), free=size(free))
    return (
        f'<div class="workshop-table"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'
        f'<p class="quiet">{escape(total)}</p>'
    )


def ago(used: float) -> str:
    """How long ago something was used."""
    days = int((time.time() - used) / DAY_S)
    if not used:
        return say("unknown")
    return say("today") if days < 1 else say("yesterday") if days == 1 else say("{days} days ago", days=f"{days:,}")


def removed(gone: Kept) -> str:
    """What was removed, and how much is free now for it."""
    return say("{name} is removed: {size}", name=gone.name, size=size(gone.bytes))
