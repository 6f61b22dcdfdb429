"""`python make_models.py FOLDER NAME...`: small random models that answer as long as they may.

The first is the GGUF file of a listed model, too. Adapters for it are in FOLDER-adapters.
"""

# ruff: noqa: E402

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "models")]

from lora_files import write_adapter
from tiny_gguf import write_tiny_gguf

from models.engines.transformers.engine_thread import engine_thread
from tests.models.conftest import build_tiny

if __name__ == "__main__":
    for number, name in enumerate(sys.argv[2:]):
        folder = Path(sys.argv[1], name)
        folder.mkdir(parents=True)
        engine_thread().run(lambda folder=folder: build_tiny(folder))
        if number == 0:
            listed = Path(sys.argv[1], "smollm2-135m-instruct")
            listed.mkdir()
            write_tiny_gguf(folder, listed / "tiny.gguf")
    for seed, name in enumerate(("ours", "yours")):
        write_adapter(Path(f"{sys.argv[1]}-adapters"), name, seed=seed, base_model_name_or_path=sys.argv[2])
