"""Paddock as a web app: builds the Runtime from the environment and serves the page."""

# ruff: noqa: E402
from __future__ import annotations

import gc
import os
import threading
from functools import partial
from typing import TYPE_CHECKING

from models.system import forks, proxies, stubs

forks.prepare()
proxies.exempt_loopback()
SET_ASIDE = proxies.set_aside()  # Gradio makes HTTP clients as soon as it is imported

from models.cli.processes import served_in_processes
from models.cli.terminal import ProgressLine
from models.domain.errors import PaddockError
from models.domain.messages import Progress, Sampling
from models.domain.request import CompletionRequest
from models.domain.settings import Settings
from models.domain.variant import Variant
from models.engines.device import on_zero_gpu
from models.packing import pack
from models.runtime import Runtime
from models.startup import log_runs, report, started, starts_beside
from models.system.encodings import lenient_output
from models.system.launching import end_forks_too, end_with_parent
from models.system.ranks import take_place

if TYPE_CHECKING:
    import gradio as gr


def preload(runtime: Runtime) -> None:
    """Have the default variant in memory before the first visitor asks; a failure waits for them to see it."""
    try:
        line = ProgressLine()
        request = CompletionRequest(
            Variant.parse(runtime.settings.default_variant), "Hello", Sampling(max_new_tokens=1, temperature=0)
        )
        for event in runtime.answer(request):
            if isinstance(event, Progress):
                line.show(event)
        line.clear()
    except PaddockError as error:
        print(f"Not preloaded: {error}", flush=True)


def main() -> gr.Blocks:
    """Launch the app and come back when it is stopped."""
    gc.disable()  # what the start makes is kept; to look through it again and again would take a tenth of its time
    lenient_output()
    log_runs()
    end_with_parent()
    try:
        place = take_place()  # it says which GPU, and how many cores
        runtime = started(served_in_processes(Settings.from_env(), place, __file__))
    except (ValueError, PaddockError) as error:  # the operator's own variables
        raise SystemExit(f"paddock: {error}") from None
    end_forks_too()  # workers of ZeroGPU, which cannot look for the app while they start
    loading = threading.Thread(target=preload, args=(runtime,), daemon=True, name="paddock-preload")
    wanted = runtime.settings.preload and not on_zero_gpu()  # where nobody would be charged for it
    if beside := wanted and starts_beside(runtime):
        loading.start()
    with stubs.left_out():
        from ui.layout import build_app, launch_options  # Gradio takes seconds to import

    app = build_app(runtime)
    app.queue(max_size=runtime.settings.queue, default_concurrency_limit=runtime.settings.slots)
    if on_zero_gpu():
        pack(runtime, partial(print, flush=True))
    app.launch(prevent_thread_lock=True, **launch_options(runtime))
    gc.freeze()  # nor does a collection look at it later, which would copy its pages in a fork
    gc.enable()
    if SET_ASIDE:
        os.environ.update(SET_ASIDE)
        print(proxies.why(SET_ASIDE), flush=True)
    threading.Thread(target=lambda: [print(line, flush=True) for line in report(runtime)], daemon=True).start()
    if wanted and not beside:
        loading.start()
    app.block_thread()
    return app


if __name__ == "__main__":
    main()
