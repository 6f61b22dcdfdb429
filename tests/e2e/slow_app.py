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
from models.compute.job import Job
from models.domain.messages import END, Delta, Rendered, Usage, to_wire

STEP_S = float(os.environ.get("STEP_S", "1.5"))


def compute(job: Job) -> Iterator[dict[str, Any]]:
    """Stands for `models.compute.gpu.compute`; says what it does in the log."""
    print("computing", flush=True)
    try:
        yield to_wire(Rendered("slow"))
        usage = Usage(variant=job.load.variant, context=4096)
        for count in range(1, 20):
            time.sleep(STEP_S)
            yield to_wire(Delta("slow ", replace(usage, new_tokens=count)))
        yield END
    finally:
        print("closed", flush=True)


if __name__ == "__main__":
    models.compute.gpu.compute = compute
    app.main()
