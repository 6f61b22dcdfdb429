"""The app with a model that takes a step every 1.5 seconds, as a worker far away does when it loads or prefills."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

import app
import models.compute.gpu
from models.compute.job import Job, Scoring
from models.domain.messages import END, Delta, FixedLength, Rendered, Scored, Usage, to_wire

STEP_S = float(os.environ.get("STEP_S", "1.5"))


def compute(job: Job) -> Iterator[dict[str, Any]]:
    """Stands for `models.compute.gpu.compute`; says what it does in the log."""
    if isinstance(job, Scoring):
        yield to_wire(scored(job))
        yield END
        return
    timing = isinstance(job.sampling, FixedLength)  # which nobody sees
    print("timing" if timing else "computing", flush=True)
    try:
        yield to_wire(Rendered("slow"))
        usage = Usage(variant=job.load.variant, context=4096)
        for count in range(1, 65 if timing else 20):
            time.sleep(0.001 if timing else STEP_S)
            yield to_wire(Delta("slow ", replace(usage, new_tokens=count)))
        yield to_wire(Delta("", replace(usage, new_tokens=count, finish="stop")))
        yield END
    finally:
        print("timed" if timing else "closed", flush=True)


def scored(job: Scoring) -> Scored:
    """The same of any text: twenty tokens, and where a reference is named, nearly as that one."""
    many, against = 20, 20 if job.reference else 0
    return Scored(
        job.load.variant,
        ("a ",) * many,
        (-2.0,) * many,
        (True,) * many,
        bytes=2 * many,
        agrees=(True,) * against,
        divergences=(0.01,) * against,
    )


if __name__ == "__main__":
    models.compute.gpu.compute = compute
    app.main()
