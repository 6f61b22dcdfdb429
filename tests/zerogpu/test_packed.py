"""Models that are packed before the launch: there in every new worker, and the same as if it had loaded them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .conftest import TINY
from .device_api import DeviceApi
from .space import Space

GREEDY = ("--temperature", "0", "--max-new-tokens", "24")
LIBRARY = """
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
int cuInit(unsigned flags) {
  FILE *log = fopen(getenv("CUDA_LOG"), "a");
  fprintf(log, "%d\\n", getpid());
  fclose(log);
  return 100; /* CUDA_ERROR_NO_DEVICE */
}
"""


@pytest.fixture(scope="module")
def cuda(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment with a libcuda that writes down each process that calls cuInit."""
    if not (compiler := shutil.which("cc")):
        pytest.skip("no C compiler")
    folder = tmp_path_factory.mktemp("cuda")
    (folder / "stub.c").write_text(LIBRARY)
    command = [compiler, "-shared", "-fPIC", "-o", str(folder / "libcuda.so.1"), str(folder / "stub.c")]
    subprocess.run(command, check=True)
    (folder / "log").touch()
    return {"LD_LIBRARY_PATH": str(folder), "CUDA_LOG": str(folder / "log")}


@pytest.fixture(scope="module")
def packing(tiny_models: Path, cuda: dict[str, str]) -> Iterator[Space]:
    """The app with two modes packed, whose workers are new for each call."""
    packed = {"PADDOCK_DEFAULT_VARIANT": f"{TINY}@bf16", "PADDOCK_PACKED": f"default,{TINY}@nf4,{TINY}@gguf"}
    with DeviceApi(reuse=False) as api, Space(api, tiny_models, **packed, **cuda) as app:
        yield app


def answer(space: Space, variant: str) -> tuple[str, dict[str, Any]]:
    return space.client().predict("Hello", [], variant, max_new_tokens=24, temperature=0, api_name="/chat")


@pytest.mark.parametrize("mode", ["bf16", pytest.param("nf4", marks=pytest.mark.slow)])
def test_it_is_there_at_once_and_answers_what_a_loaded_one_does(packing: Space, tiny_models: Path, mode: str) -> None:
    text, usage = answer(packing, f"{TINY}@{mode}")
    assert usage["load_s"] < 0.2
    assert packing.api.seen("/allow"), "a new worker"
    command = [
        sys.executable,
        "-m",
        "models",
        "chat",
        "-v",
        f"{TINY}@{mode}",
        "Hello",
        "--max-new-tokens",
        "24",
        "--json",
    ]
    env = os.environ | {"PADDOCK_MODELS_DIR": str(tiny_models), "PADDOCK_THREADS": "1"}
    alone = subprocess.run([*command, *GREEDY], env=env, capture_output=True, text=True, check=True)
    assert json.loads(alone.stdout)["text"] == text


def test_what_is_not_packed_is_said_at_the_start(packing: Space) -> None:
    assert f"Packed for every worker: {TINY}@bf16" in packing.printed
    assert f"Not packed: {TINY}@gguf" in packing.printed


def test_the_app_itself_never_initialises_cuda(packing: Space, cuda: dict[str, str]) -> None:
    packing.client().predict(api_name="/models")
    log = Path(cuda["CUDA_LOG"])
    assert str(packing.process.pid) not in log.read_text().split()
    ask = "from models.engines.device import _compute_capability; _compute_capability()"
    subprocess.run([sys.executable, "-c", ask], env=os.environ | cuda, check=True)
    assert len(log.read_text().split()) == 1, "the library writes it down"
