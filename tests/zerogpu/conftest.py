"""One app under the worker code of ZeroGPU for each file of tests, on tiny random models."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT

sys.path.insert(0, str(ROOT / "tests" / "models"))  # for the helpers beside the models' tests

from .device_api import DeviceApi
from .space import Space

TINY, OTHER = "tiny/llama", "tiny/other"


@pytest.fixture(scope="session")
def tiny_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of two small random models, one of them as GGUF too, made in a process of its own."""
    import subprocess

    folder = tmp_path_factory.mktemp("models")
    script = Path(__file__).with_name("make_models.py")
    subprocess.run([sys.executable, str(script), str(folder), TINY, OTHER], check=True, cwd=ROOT)
    return folder


@pytest.fixture(scope="session")
def space(tiny_models: Path) -> Iterator[Space]:
    """The app and the API that schedules for it."""
    with DeviceApi() as api, Space(api, tiny_models, PADDOCK_DEFAULT_VARIANT=f"{TINY}@bf16") as app:
        yield app


@pytest.fixture(autouse=True)
def forget_calls(request: pytest.FixtureRequest) -> None:
    """Each test sees its own calls alone."""
    for name in {"space", "slow", "packing", "busy"} & set(request.fixturenames):
        api = request.getfixturevalue(name).api
        api.settled(1.0)  # of a call that the test before did not wait for
        api.calls.clear()
        api.answers.clear()
