"""Which slot of llama.cpp computes a request where adapters are loaded, so that kept prompts never cross them.

The library reuses a prompt that was computed with other adapters (llama.cpp #26207). So each request is sent to a slot
that is picked here, and may take what the slot kept only where that was computed with the same adapters and scales.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ...domain.errors import EngineFailed

ALIKE = 0.1  # of a prompt that has to be there already for a slot to be taken for it; llama.cpp's own bound
Scales = Sequence[float]  # of each loaded adapter


@dataclass
class _Slot:
    number: int
    scales: tuple[float, ...] = ()
    prompt: Sequence[int] = ()
    free: bool = True
    used: float = 0.0


class Slots:
    """The slots of one server; a request waits where none is free."""

    def __init__(self, count: int) -> None:
        self._slots = [_Slot(number) for number in range(count)]
        self._changed = threading.Condition()

    @contextmanager
    def taken(self, prompt: Sequence[int], scales: Scales) -> Iterator[tuple[int, bool]]:
        """A slot's number, and whether what it has kept was computed with these scales."""
        with self._changed:
            self._changed.wait_for(lambda: any(slot.free for slot in self._slots))
            slot = self._best(prompt, tuple(scales))
            kept = slot.scales == tuple(scales)
            slot.free, slot.scales, slot.prompt = False, tuple(scales), prompt
        try:
            yield slot.number, kept
        finally:
            with self._changed:
                slot.free, slot.used = True, time.monotonic()
                self._changed.notify()

    def _best(self, prompt: Sequence[int], scales: tuple[float, ...]) -> _Slot:
        free = [slot for slot in self._slots if slot.free]
        shared = {slot.number: _shared(slot.prompt, prompt) for slot in free if slot.scales == scales}
        number = max(shared, key=lambda each: shared[each], default=0)
        if shared.get(number, 0) > ALIKE * len(prompt):
            return self._slots[number]
        return min(free, key=lambda slot: slot.used)


def _shared(one: Sequence[int], other: Sequence[int]) -> int:
    """How many tokens two prompts begin with alike."""
    pairs = zip(one, other, strict=False)
    return next((place for place, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))


class AdaptedServer:
    """A server whose requests have the adapters of one answer, whatever else is computed.

    `told` gets the scales that the server says of the slot, once it computes there.
    """

    def __init__(
        self,
        server: Any,
        ask: Callable[[str], Any],
        slots: Slots,
        scales: Scales,
        told: Callable[[list[float]], None] = lambda scales: None,
    ) -> None:
        self._server, self._ask, self._slots, self._scales, self._told = server, ask, slots, scales, told

    def handle_completions(self, request: dict[str, Any], on_chunk: Callable[[dict[str, Any]], Any]) -> None:
        """As the library's; raises EngineFailed where it does not apply what it was asked to."""
        # Every adapter is named: the library gives one that is not the scale of its start.
        lora = [{"id": number, "scale": scale} for number, scale in enumerate(self._scales)]
        wrong = seen = False

        with self._slots.taken(request["prompt"], self._scales) as (number, kept):

            def check(chunk: dict[str, Any]) -> Any:
                nonlocal wrong, seen
                if not seen and ("prompt_progress" in chunk or chunk.get("choices")):
                    seen = True
                    acting = self._acting(number)
                    wrong = not _same(acting, self._scales)
                    self._told(acting)
                return wrong or on_chunk(chunk)

            own = {"lora": lora, "id_slot": number, "cache_prompt": kept and request["cache_prompt"]}
            self._server.handle_completions({**request, **own}, check)
        if wrong:
            raise EngineFailed(detail="llama.cpp applied other adapters than it was asked to")

    def _acting(self, number: int) -> list[float]:
        """The scales of what a slot computes, or computed last."""
        slot = next(each for each in self._ask("/slots") if each["id"] == number)
        told = {each["id"]: each["scale"] for each in slot["params"]["lora"]}
        return [told.get(place, 0.0) for place in range(len(self._scales))]


def _same(one: Scales, other: Scales) -> bool:
    return all(abs(a - b) < 1e-6 for a, b in zip(one, other, strict=True))  # the library has them in fp32
