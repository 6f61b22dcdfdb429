"""Paddock as a web app: builds the Runtime from the environment and serves the page."""

# ruff: noqa: E402
import os
import threading

from models.system import proxies

proxies.exempt_loopback()
SET_ASIDE = proxies.set_aside()  # Gradio makes HTTP clients as soon as it is imported

import gradio as gr

from models.cli.terminal import ProgressLine
from models.domain.errors import PaddockError
from models.domain.messages import Progress, Sampling
from models.domain.request import CompletionRequest
from models.domain.settings import Settings
from models.domain.variant import Variant
from models.runtime import Runtime
from models.system.encodings import lenient_output
from ui.layout import build_app, launch_options


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
    lenient_output()
    runtime = Runtime(Settings.from_env())
    app = build_app(runtime)
    app.queue(max_size=runtime.settings.queue, default_concurrency_limit=runtime.settings.slots)
    app.launch(prevent_thread_lock=True, **launch_options(runtime.settings))
    if SET_ASIDE:
        os.environ.update(SET_ASIDE)
        print(proxies.why(SET_ASIDE), flush=True)
    if runtime.settings.preload:
        threading.Thread(target=preload, args=(runtime,), daemon=True, name="paddock-preload").start()
    app.block_thread()
    return app


if __name__ == "__main__":
    main()
