"""What a model that `pretrain` made takes and loses in each mode, and how many names it gets right.

python -m tests.bench.pretraining FOLDER [FOLDER...], of models trained on our stories; by hand.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path

from models.domain.engine import Prompt
from models.domain.errors import NotHeld
from models.domain.messages import Scored
from models.domain.pretraining import DOCUMENTS, STORIES
from models.domain.settings import Settings
from models.domain.variant import Variant
from models.runtime import Runtime
from models.training.stories import count_names, stories
from models.training.token_rows import mark, scan
from models.workshop.save import save
from models.workshop.to_gguf import to_gguf

from .report import print_machine, print_table

MODES = ("fp32", "bf16", "dynamic-int8", "nf4", "gguf")
GGUF = "q8_0"
TEMPERATURES = (0.0, 0.7)
LONGEST = 250  # tokens of a continuation


def held_out(count: int, seed: int = 0, share: float = 0.02) -> list[str]:
    """The first stories that a default run does not learn from."""
    texts = list(stories(DOCUMENTS[STORIES], seed))
    limit = scan(texts, share).limit
    return [text for text in texts if mark(text) < limit][:count]


def sizes(folder: Path, texts: Sequence[str]) -> None:
    """A table: bytes on disk and in memory, and the loss a token and a story, in each mode."""
    with tempfile.TemporaryDirectory() as temporary:
        copy = Path(temporary, folder.name)
        shutil.copytree(folder, copy)
        runtime = Runtime(Settings(model_folders=(str(copy),), preload=False))
        name = runtime.settings.local_name(copy)
        file = Path(temporary, f"{folder.name}-{GGUF}.gguf")
        to_gguf(runtime, Variant(name, "fp32"), GGUF, file, lambda step: None)
        shutil.move(file, copy / file.name)
        runtime = Runtime(runtime.settings)  # sees the new file
        rows = []
        for mode in MODES:
            variant = Variant(name, mode)
            disk = _on_disk(runtime, variant, copy, Path(temporary, f"saved-{mode}"))
            nats, tokens = _loss(runtime, variant, texts)
            held = next(one for one in runtime.held() if one.name.startswith(f"{name}@{mode}"))
            label = f"gguf ({GGUF})" if mode == "gguf" else mode
            rows.append([label, disk, _megabytes(held.bytes), f"{nats / tokens:.4f}", f"{nats / len(texts):.1f}"])
            with suppress(NotHeld):
                runtime.eject(held.name)
    print_table(["mode", "file", "weights in memory", "nats a token", "nats a story"], rows)


def _on_disk(runtime: Runtime, variant: Variant, copy: Path, out: Path) -> str:
    if variant.quantization == "dynamic-int8":
        return "none"
    if variant.quantization == "gguf":
        return _megabytes(next(copy.glob("*.gguf")).stat().st_size)
    save(runtime, variant, out, 10**9, lambda step: None)
    return _megabytes(sum(path.stat().st_size for path in out.glob("*.safetensors")))


def _megabytes(count: int) -> str:
    return f"{count / 1e6:.2f} MB"


def _loss(runtime: Runtime, variant: Variant, texts: Sequence[str]) -> tuple[float, int]:
    """Nats and tokens of all texts together, the first token of each left out."""
    nats, tokens = 0.0, 0
    for text in texts:
        with closing(runtime.score(Prompt(text), variant)) as events:
            scored = next(event for event in events if isinstance(event, Scored))
        nats -= sum(scored.log_probabilities)
        tokens += len(scored.log_probabilities)
    return nats, tokens


def names(folder: Path, texts: Sequence[str]) -> None:
    """A table: the names after held-out openings, and how many of them the opening had introduced."""
    rows = []
    for temperature in TEMPERATURES:
        found = count_names(_continued(folder, texts, temperature))
        share = f"{100 * found.right / found.said:.1f} %" if found.said else "none said"
        rows.append([folder.name, f"{temperature:g}", str(found.said), str(found.right), share])
    print_table(["model", "temperature", "names said", "right", "share"], rows)


def _continued(folder: Path, texts: Sequence[str], temperature: float) -> Iterator[str]:
    from safetensors.torch import load_file

    from models.training.causal import Decoder, generate, load_llama
    from models.training.feed_forward import FeedForward
    from models.training.llama import Config
    from models.training.tokenizing import Tokens

    said = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    if said["model_type"] == "llama":
        model: Decoder = load_llama(folder)
    else:
        width = said["hidden_size"]
        model = FeedForward(Config(said["vocab_size"], width, width, 1, 1, 1))
        model.load_state_dict(load_file(folder / "model.safetensors"))
    tokenizer = Tokens(folder)
    encode = tokenizer.encode
    for number, text in enumerate(texts):
        opening = encode([text.split("\n")[0] + "\n"])[0]
        new = generate(model, opening, tokenizer.end, LONGEST, temperature, seed=number)
        yield tokenizer.decode([*opening, *new])


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.pretraining", description=__doc__)
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER")
    parser.add_argument("--stories", type=int, default=60, help="held-out ones (%(default)s)")
    parser.add_argument("--no-names", action="store_true", help="only bytes and losses")
    options = parser.parse_args()
    print_machine()
    texts = held_out(options.stories)
    for folder in options.folders:
        folder = folder.expanduser().absolute()
        if not options.no_names:
            names(folder, texts)
        if json.loads((folder / "config.json").read_text(encoding="utf-8"))["model_type"] == "llama":
            sizes(folder, texts)


if __name__ == "__main__":
    main()
