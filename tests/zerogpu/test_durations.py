"""What is declared for a press once the same was computed here before."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import TINY
from .device_api import DeviceApi
from .space import Space

LONG = 1000  # tokens


@pytest.fixture
def plain(tiny_models: Path) -> Iterator[Space]:
    """The app as it is, which declares what it estimates."""
    env = {"PADDOCK_DEFAULT_VARIANT": f"{TINY}@bf16", "PADDOCK_GPU_SECONDS": "600"}
    with DeviceApi() as api, Space(api, tiny_models, "app.py", **env) as app:
        yield app


@pytest.mark.slow
def test_it_is_what_the_same_took_before(plain: Space) -> None:
    for _ in range(2):
        plain.client().predict("Hello", [], f"{TINY}@bf16", max_new_tokens=LONG, temperature=0, api_name="/chat")
    first, second = (int(query["durationSeconds"]) for query in plain.api.seen("/schedule"))
    assert first >= LONG / 25, "a guess"
    assert second < first / 2, "as measured, and with no load"
