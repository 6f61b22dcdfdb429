"""What the columns of a comparison need on the hardware that is chosen."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from models.domain.errors import PaddockError
from models.domain.memory.hardware import Hardware
from models.domain.variant import Variant

from .state import Need, Shown, with_needs

if TYPE_CHECKING:
    from models.runtime import Runtime


def weighed(runtime: Runtime, shown: Shown, hardware: Hardware | None, token: str | None = None) -> Shown:
    """With the memory that must be free for each column, by the plan; None where nothing can be planned."""
    spellings = [column.known.resolved or column.known.variant for column in shown.columns]
    needs = [_need(runtime, spelling, hardware, token) for spelling in spellings]
    return replace(with_needs(shown, needs), hardware=hardware.title if hardware else "")


def _need(runtime: Runtime, spelling: str, hardware: Hardware | None, token: str | None) -> Need | None:
    try:
        planned = runtime.plan(Variant.parse(spelling), token=token, hardware=hardware)
    except PaddockError:  # its column says why
        return None
    return Need(planned.needed, planned.fits, planned.tight) if planned.is_local else None
