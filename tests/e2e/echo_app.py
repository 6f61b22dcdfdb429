"""The app with a model that answers with the last question, so that a test knows every character of an answer."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

import app
import models.compute.gpu
from models.compute.job import Answering, Job
from models.domain.errors import EngineFailed
from models.domain.messages import END, Delta, Rendered, Usage, to_wire

UNFORESEEN = "Fail as nobody foresees."


def compute(job: Job) -> Iterator[dict[str, Any]]:
    """Stands for `compute`; the prompt it says it was given is the conversation as Python writes it."""
    if not isinstance(job, Answering):  # it has no probabilities
        yield to_wire(EngineFailed(detail="echo"))
        yield END
        return
    if job.messages and job.messages[-1].content == UNFORESEEN:
        raise OSError("AF_UNIX path too long")
    yield to_wire(Rendered(repr([message.content for message in job.messages]) if job.messages else job.prompt))
    usage = Usage(variant=job.load.variant, engine="echo", context=4096, ttft_s=0.1)
    text = job.messages[-1].content if job.messages else job.prompt
    for at in range(0, len(text), 60):
        usage = replace(usage, new_tokens=usage.new_tokens + 1)
        yield to_wire(Delta(text[at : at + 60], usage))
    yield to_wire(Delta("", replace(usage, finish="stop")))
    yield END


if __name__ == "__main__":
    models.compute.gpu.compute = compute
    app.main()
