"""What a checkpoint holds, by its headers alone: Meta's .pth folder, safetensors, .bin or .pt files, and GGUF."""

from __future__ import annotations

import re
from pathlib import Path

from ..domain.catalog import part_files, part_names
from ..domain.errors import NotACheckpoint, NotHere
from ..domain.quantization import card_for
from ..domain.variant import Variant
from ..runtime import Runtime
from ..system.files import read_json
from ..weights import sources
from ..weights.verify.checkpoints import FIELD
from ..weights.verify.file_names import CONFIG, INDEX, SINGLE, weight_files, weight_map
from ..weights.verify.gguf_header import read_header
from ..weights.verify.safetensors_header import read_tensors
from .engine.pickles import read_pickle
from .meta_layout import merged, read_params
from .tensors import Listing, Stored, counted

PICKLES = (".pth", ".pt", ".bin")
META = re.compile(r"consolidated\.\d\d\.pth")
BIN_INDEX = "pytorch_model.bin.index.json"


def listed(path: Path) -> Listing:
    """The tensors of a file, or of all weights of a folder; no weights are read, and nothing in them is executed.

    Meta's shards are listed as what they are once they are put together.
    Raises NotACheckpoint, CorruptWeights, UnsafePickle, BadCheckpoint.
    """
    if not path.exists():
        raise NotACheckpoint(path=path.name, reason="it does not exist")
    if path.is_file():
        return _file(path)
    names = sorted(file.name for file in path.iterdir() if file.is_file())
    shards = [path / name for name in names if META.fullmatch(name)]
    if shards and "params.json" in names:
        return meta_listing(path, shards)
    if SINGLE in names or INDEX in names:
        return _safetensors(path, weight_files(names, path), INDEX if SINGLE not in names else "")
    for ending, read in ((".safetensors", _safetensors), (".gguf", _gguf), (PICKLES, _pickles)):
        if found := [name for name in names if name.endswith(ending) and name != "training_args.bin"]:
            return read(path, found)
    raise NotACheckpoint(path=path.name, reason="no weights are in it")


def files_of(runtime: Runtime, variant: Variant) -> Path:
    """Where the weights of a variant's model lie on this machine; raises NotHere, and what `Runtime.card` does."""
    card = runtime.card(variant)
    mode = runtime.resolve(variant, card)[1]
    here = sources.locate(card_for(mode, card), mode.form, runtime.settings) if mode.form != "remote" else None
    if here is None:
        raise NotHere(variant=str(variant))
    return Path(here.path)


def meta_listing(folder: Path, shards: list[Path]) -> Listing:
    """A folder of Meta's, merged; raises as `listed`."""
    tensors = merged([read_pickle(shard) for shard in shards], read_params(folder), folder.name)
    files = "1 file" if len(shards) == 1 else f"{len(shards)} shards"
    return Listing(folder.name, f"Meta's .pth, {files}", counted(tensors))


def _file(path: Path) -> Listing:
    folder = path.parent
    if path.name.endswith(".safetensors"):
        return _safetensors(folder, [path.name], name=path.name)
    if path.name.endswith(".gguf"):
        return _gguf(folder, [path.name], path.name)
    if path.name.endswith(PICKLES):
        return _pickles(folder, [path.name], path.name)
    raise NotACheckpoint(path=path.name, reason="it is no .pth, .bin, .safetensors or .gguf file")


def _safetensors(folder: Path, names: list[str], index: str = "", name: str = "") -> Listing:
    # A repository may hold the files of an older split too: only what the index names is loaded.
    named = weight_map(folder / index) if index else None
    stored = [
        Stored(tensor, one.shape, one.dtype, one.end - one.begin, file)
        for file in names
        for tensor, one in read_tensors(folder / file).items()
        if named is None or named.get(tensor) == file
    ]
    stated = read_json(folder / CONFIG).get(FIELD)
    bits = stated.get("bits") if isinstance(stated, dict) else None
    return Listing(name or folder.name, _form("safetensors", names), counted(stored, bits if bits else 4))


def _gguf(folder: Path, names: list[str], name: str = "") -> Listing:
    from gguf import GGMLQuantizationType

    files = part_files(folder / names[0]) if len(part_names(names[0])) > 1 else [folder / names[0]]
    if not name and len(names) != len(files):
        raise NotACheckpoint(path=folder.name, reason="it holds several GGUF models: name one of its files")
    kinds = {kind.value: kind.name for kind in GGMLQuantizationType}
    stored = [
        Stored(one.name, one.shape, kinds.get(one.kind, f"type {one.kind}"), one.bytes, file.name)
        for file in files
        for one in read_header(file).tensors
    ]
    return Listing(name or folder.name, _form("GGUF", [file.name for file in files]), counted(stored))


def _pickles(folder: Path, names: list[str], name: str = "") -> Listing:
    stored = [tensor for file in names for tensor in read_pickle(folder / file)]
    ending = Path(names[0]).suffix
    return Listing(name or folder.name, _form(ending, names), counted(stored))


def _form(form: str, names: list[str]) -> str:
    return form if len(names) == 1 else f"{form}, {len(names)} files"
