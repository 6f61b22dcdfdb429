"""The app, in which threads download, tokenize and draw progress bars all the time, as visitors make them do."""

from __future__ import annotations

import os
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

URL = f"http://127.0.0.1:{os.environ['GRADIO_SERVER_PORT']}/config"
TOKENIZER = os.environ["BUSY_TOKENIZER"]


def again_and_again(work: Callable[[], object]) -> None:
    """Once the page is up, with breath for what else runs on two cores."""
    while True:
        try:
            urllib.request.urlopen(URL, timeout=5).close()
            break
        except OSError:
            time.sleep(0.2)
    while True:
        work()
        time.sleep(0.002)


def download() -> None:
    from huggingface_hub.utils import get_session

    with suppress(Exception):  # nobody waits for it
        get_session().get(URL).read()


def tokenize() -> None:
    from tokenizers import Tokenizer

    Tokenizer.from_file(TOKENIZER).encode_batch(["Once upon a time there was a fox."] * 50)


def draw_bars() -> None:
    from tqdm import tqdm

    with open(os.devnull, "w") as nowhere:
        for _ in tqdm(range(500), file=nowhere, mininterval=0):
            pass


def say_what_is_imported() -> None:
    """After each job, what its worker has imported since it was forked."""
    from models.compute import gpu

    before, compute = set[str](), gpu.compute
    os.register_at_fork(after_in_child=lambda: before.update(sys.modules))

    def computed(*asked: Any) -> Iterator[dict[str, Any]]:
        yield from compute(*asked)
        print(f"IMPORTED {sorted(set(sys.modules) - before)}", flush=True)

    gpu.compute = computed  # type: ignore[assignment]


if __name__ == "__main__":
    from tests.zerogpu import patient_app

    say_what_is_imported()
    for work in (download, download, tokenize, draw_bars):
        threading.Thread(target=again_and_again, args=(work,), daemon=True).start()
    patient_app.main()
