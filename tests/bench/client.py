"""What somebody at the other end of the API sees: when each event came, and how many tokens there were."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from gradio_client import Client

PATIENCE_S = 120


@dataclass(frozen=True)
class Answer:
    """One answer, timed where it arrives: `stream_s` is from the first event with text to the last."""

    ttft_s: float
    stream_s: float
    tokens: int
    text: str
    events: int = 0
    usage: dict[str, Any] = field(default_factory=dict)

    @property
    def tokens_per_s(self) -> float:
        return (self.tokens - 1) / self.stream_s if self.tokens > 1 else 0.0


def connect(url: str) -> Client:
    """A client that waits for a busy machine instead of giving up after five seconds."""
    return Client(
        url, verbose=False, download_files=False, analytics_enabled=False, httpx_kwargs={"timeout": PATIENCE_S}
    )


def ask(client: Client, *args: Any, api_name: str = "/chat", tokens: int = 0, **kwargs: Any) -> Answer:
    """Stream one answer; `tokens` is for an app that does not count them."""
    started = time.perf_counter()
    job = client.submit(*args, api_name=api_name, **kwargs)
    events = [(time.perf_counter(), event) for event in job]
    job.result()  # raises what the server reported
    (first, _), (last, final) = events[0], events[-1]
    text, usage = final if isinstance(final, list | tuple) else (final, {})
    count = usage.get("new_tokens", tokens)
    return Answer(first - started, last - first, count, text, len(events), usage)


def greedy(client: Client, text: str, variant: str, new_tokens: int, complete: bool = False, **more: Any) -> Answer:
    """The likeliest answer of a variant of the served app."""
    return ask(
        client,
        text,
        api_name="/complete" if complete else "/chat",
        variant=variant,
        max_new_tokens=new_tokens,
        temperature=0,
        **more,
    )


def at_once(clients: list[Client], texts: list[str], variant: str, new_tokens: int) -> tuple[list[Answer], float]:
    """One answer for each client, all asked together, and the seconds until the last was there."""
    started = time.perf_counter()
    with ThreadPoolExecutor(len(clients)) as threads:
        asked = [
            threads.submit(greedy, client, text, variant, new_tokens)
            for client, text in zip(clients, texts, strict=True)
        ]
        answers = [future.result() for future in asked]
    return answers, time.perf_counter() - started
