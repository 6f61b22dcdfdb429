"""What a load of one file of weights takes against the same weights in shards: the most that was resident."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from models.domain.units import size
from models.engines.transformers.engine_thread import engine_thread
from models.workshop.save import copy
from tests.models import tiny_tokenizers

from .report import Row, Target, print_rows

# Pages of files are clean: the kernel takes them back when memory is short, so that they are shown and in no target.
CODE = """
import json, sys, threading, time
from pathlib import Path
from models.domain.load import Snapshot
from models.engines.transformers.loader import load

def status():
    lines = dict(line.split(":", 1) for line in open("/proc/self/status"))
    return {name: int(lines[name].split()[0]) * 1024 for name in ("VmRSS", "RssAnon")}

load(Snapshot(sys.argv[1], "safetensors", "folder", 0), "fp32", "cpu", lambda step: None)  # a tiny one: the libraries
before, peaks, done = status(), {"VmRSS": 0, "RssAnon": 0}, threading.Event()

def watch():
    while not done.wait(0.005):
        now = status()
        for name in peaks:
            peaks[name] = max(peaks[name], now[name])

thread = threading.Thread(target=watch)
thread.start()
began = time.monotonic()
model = load(Snapshot(sys.argv[2], "safetensors", "folder", 0), sys.argv[3], "cpu", lambda step: None).model
took = time.monotonic() - began
done.set()
thread.join()
held = sum(one.nbytes for one in model.parameters())
print(json.dumps({"held": held, "took": took} | {name: peaks[name] - before[name] for name in peaks}))
"""


def sharded_loads(few: bool) -> None:
    """Rows for weights that are converted as they are loaded (bf16 to fp32), and that stay as they are stored."""
    from transformers import PreTrainedTokenizerFast

    from tests.models.workshop.meta_files import tiny_llama

    layers, vocabulary = (2, 4096) if few else (8, 32000)
    sizes = {"hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": layers, "vocab_size": vocabulary}
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        engine_thread().run(lambda: tiny_llama().save_pretrained(root / "tiny"))
        engine_thread().run(
            lambda: tiny_llama(num_attention_heads=32, num_key_value_heads=8, **sizes).save_pretrained(
                root / "one", max_shard_size="100GB"
            )
        )
        for name in ("tiny", "one", "shards"):
            PreTrainedTokenizerFast(tokenizer_object=tiny_tokenizers.sentence_piece()).save_pretrained(root / name)
        whole = (root / "one/model.safetensors").stat().st_size
        most = whole // 8
        shutil.copyfile(root / "one/config.json", root / "shards/config.json")
        copy(root / "one", ["model.safetensors"], root / "shards", most, lambda step: None)
        shards = sorted(root.glob("shards/model-*"))
        largest = max(file.stat().st_size for file in shards)
        rows = []
        for mode in ("fp32", "bf16"):
            for where in ("one", "shards"):
                found = _measured(root / "tiny", root / where, mode)
                files = f"one file of {size(whole)}" if where == "one" else f"{len(shards)} shards of {size(largest)}"
                pages = found["VmRSS"] - found["RssAnon"]
                figure = (
                    f"{size(found['RssAnon'])} of its own and {size(pages)} of pages of files for a model of "
                    f"{size(found['held'])}, {files}; {found['took']:.1f} s"
                )
                above = (found["RssAnon"] - found["held"]) / 1e6
                target = Target("<=", largest / 1e6, " MB")
                rows.append(Row(f"{mode} from bf16, {where}: own memory above the model", figure, None, target, above))
    print_rows(rows)


def _measured(tiny: Path, folder: Path, mode: str) -> dict[str, float]:
    command = [sys.executable, "-c", CODE, str(tiny), str(folder), mode]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))
