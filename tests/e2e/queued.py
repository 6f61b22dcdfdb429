"""What somebody reads who posts to Gradio's queue themselves."""

from __future__ import annotations

import html
import json
import time
from typing import Any

import httpx


def posted(url: str, body: Any, query: str = "") -> str:
    """All that the queue sends back for a body of /queue/join, as text, its HTML unescaped."""
    with httpx.Client(base_url=url, timeout=60) as client:
        joined = client.post(f"/gradio_api/queue/join?{query}", json=body)
        if joined.status_code != 200:
            return joined.text
        end = time.monotonic() + 60
        event, told = joined.json()["event_id"], []
        with client.stream("GET", "/gradio_api/queue/data", params={"session_hash": body["session_hash"]}) as stream:
            for line in stream.iter_lines():
                assert time.monotonic() < end, told  # another reader of the session has it
                message = json.loads(line.removeprefix("data:")) if line.startswith("data:") else {}
                if message.get("event_id") not in (None, event):
                    continue
                told.append(message)
                if message.get("msg") in ("process_completed", "close_stream"):
                    break
        return html.unescape(json.dumps(told, ensure_ascii=False))
