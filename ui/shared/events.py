"""How the page's events are registered: what computes shares one queue, what only looks something up skips it."""

from __future__ import annotations

from typing import Any

CONCURRENCY_ID = "model"
AT_ONCE: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
# In the visitor's own queue, so that what it shows comes after what a stream had already sent.
IN_ORDER: dict[str, Any] = {"concurrency_limit": None, "show_progress": "hidden", "api_visibility": "private"}


def computing(slots: int) -> dict[str, Any]:
    """Options of an event that computes; at most `slots` run at a time, the others see their place in the queue."""
    return {
        "concurrency_id": CONCURRENCY_ID,
        "concurrency_limit": slots,
        "show_progress": "minimal",
        "api_visibility": "private",
    }
