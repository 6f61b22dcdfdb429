"""Page weight and first paint of two checkouts, in turns: python -m tests.bench.paint OLD NEW [ROUNDS].

Each visit is a new browser without a cache; a ratio below 1 says that NEW is lighter or sooner.
"""

from __future__ import annotations

import os
import shutil
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from playwright.sync_api import sync_playwright

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
USABLE = "#card .card"
PAINT = "performance.getEntriesByName('first-contentful-paint')[0].startTime / 1000"


@contextmanager
def served(folder: str) -> Iterator[str]:
    """The app of a checkout on a port of its own, without a model in memory."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    env = os.environ | {"GRADIO_SERVER_PORT": port, "PADDOCK_PRELOAD": "0", "GRADIO_ANALYTICS_ENABLED": "False"}
    process = subprocess.Popen([sys.executable, "app.py"], cwd=folder, env=env, stdout=subprocess.DEVNULL)
    try:
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/config", timeout=5).read()
                break
            except OSError:
                time.sleep(0.2)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def visit(browser: Any, url: str) -> dict[str, float]:
    """Seconds to the first paint and to a usable page, and the bytes that came over the line until then."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page, bytes_ = context.new_page(), []
    line = context.new_cdp_session(page)
    line.send("Network.enable")
    line.on("Network.loadingFinished", lambda event: bytes_.append(event["encodedDataLength"]))
    start = time.perf_counter()
    page.goto(url)
    page.wait_for_selector(USABLE)
    usable = time.perf_counter() - start
    figures = {"first paint, s": page.evaluate(PAINT), "usable, s": usable, "weight, MB": sum(bytes_) / 1e6}
    context.close()
    return figures


def main(old: str, new: str, rounds: int = 5) -> None:
    """Print a line a figure: the medians of both and their ratio."""
    found: dict[tuple[str, str], list[float]] = {}
    with ExitStack() as stack:
        urls = {folder: stack.enter_context(served(folder)) for folder in (old, new)}
        browser = stack.enter_context(sync_playwright()).chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox"]
        )
        for number in range(rounds + 1):
            for folder in (old, new) if number % 2 else (new, old):
                for name, value in visit(browser, urls[folder]).items():
                    if number:  # the first visit of each only warms the server
                        found.setdefault((name, folder), []).append(value)
        browser.close()
    print("| figure | old | new | ratio |\n| --- | ---: | ---: | ---: |")
    for name in dict.fromkeys(name for name, _ in found):
        before, after = (statistics.median(found[name, folder]) for folder in (old, new))
        print(f"| {name} | {before:.2f} | {after:.2f} | {after / before:.2f} |")


if __name__ == "__main__":
    main(*sys.argv[1:3], *map(int, sys.argv[3:4]))
