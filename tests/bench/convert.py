"""How much memory a conversion of Meta's shards takes: peak of the process against the largest tensor."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from models.domain.units import size
from tests.models import tiny_tokenizers

from .report import Row, Target, print_rows

ROOM = 300_000_000  # bytes above the largest merged tensor
CODE = """
import sys, time
from pathlib import Path
from models.workshop.convert import convert
began = time.monotonic()
convert(Path(sys.argv[1]), Path(sys.argv[2]), 2_000_000_000, lambda step: None)
took = time.monotonic() - began
# Not ru_maxrss, which remembers the process that started this one.
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(int(peak.split()[1]) * 1024, took)
"""


def conversion(few: bool) -> None:
    """One row for the peak, one for the speed; Llama 3.2 1B's sizes, cut in two, with random weights."""
    from tests.models.workshop.meta_files import tiny_llama, write_meta, write_sentence_piece

    layers, vocabulary = (1, 16384) if few else (16, 128256)
    sizes = {"hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": layers, "vocab_size": vocabulary}
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "meta")
        model = tiny_llama(num_attention_heads=32, num_key_value_heads=8, **sizes)
        largest = model.get_input_embeddings().weight.nbytes
        write_meta(model, source, 2, llama_3=True)
        del model
        write_sentence_piece(tiny_tokenizers.sentence_piece(), source / "tokenizer.model")
        total = sum(file.stat().st_size for file in source.glob("*.pth"))
        command = [sys.executable, "-c", CODE, str(source), str(Path(folder, "out"))]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    peak, seconds = map(float, done.stdout.split())
    figure = f"{size(peak)}; largest tensor {size(largest)}, files {size(total)}"
    above = Target("<=", ROOM / 1e6, " MB")
    print_rows(
        [
            Row("peak memory of a conversion, above its largest tensor", figure, None, above, (peak - largest) / 1e6),
            Row("conversion", f"{size(total / seconds)} a second"),
        ]
    )
