"""A checkpoint is complete for its config, or refused by name before anything is loaded."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import pytest
import tiny_decoders
import tiny_models
from safetensors.numpy import save
from tiny_decoders import DECODERS
from tiny_models import AWQ, GPTQ, INT8, NF4

from models.domain.errors import CorruptWeights, UnsafeWeights
from models.domain.shapes.read import KNOWN, read_shape
from models.weights.verify import checks
from models.weights.verify.expected_tensors import check_complete, expected

Shapes = dict[str, tuple[int, ...]]
HEAD, EMBEDDINGS = "lm_head.weight", "model.embed_tokens.weight"
NOTHING: dict[str, Any] = {}


def write(folder: Path, shapes: Shapes | None = None, **changes: Any) -> Path:
    for name, data in tiny_models.model_files(**changes).items():
        (folder / name).write_bytes(data)
    if shapes is not None:
        (folder / "model.safetensors").write_bytes(tiny_models.saved(shapes))
    return folder


@pytest.mark.parametrize(
    "changes", [NOTHING, {"attention_bias": True, "mlp_bias": True}, {"tie_word_embeddings": True}]
)
@pytest.mark.parametrize("name", DECODERS)
def test_shapes_are_of_what_transformers_builds(name: str, changes: dict[str, Any]) -> None:
    """Every parameter by its name and sizes, the kinds of modules, and the sum."""
    import torch
    from transformers import AutoModelForCausalLM

    shape, config = read_shape(tiny_decoders.config(name, **changes)), tiny_decoders.config_class(name, **changes)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    assert shape.parameters == sum(parameter.numel() for parameter in model.parameters())
    assert type(model).__name__ == KNOWN[shape.model_type].architecture
    weights = {f"layers.{n}.{weight.name}": weight for n, layer in enumerate(shape.layers) for weight in layer.weights}
    weights |= {weight.name: weight for weight in shape.outside}
    built = {key.removeprefix("model."): tuple(value.shape) for key, value in model.named_parameters()}
    ends = {"embed_tokens.weight", HEAD}
    assert {key: weight.sizes for key, weight in weights.items()} == {k: v for k, v in built.items() if k not in ends}
    linears = {key.removeprefix("model.") for key, part in model.named_modules() if type(part) is torch.nn.Linear}
    assert {key.removesuffix(".weight") for key, weight in weights.items() if weight.kind == "linear"} == linears - {
        "lm_head"
    }
    assert {tensor.name for tensor in expected(shape)} <= {*model.state_dict()}


@pytest.mark.parametrize("name", DECODERS)
def test_any_tensor_that_is_missing_is_named(name: str) -> None:
    shape = read_shape(tiny_decoders.config(name, num_hidden_layers=2, layer_types=None, num_kv_shared_layers=0))
    whole = {tensor.name: tensor.sizes for tensor in expected(shape)}
    check_complete(whole, shape, "", "f")
    for tensor in whole:
        with pytest.raises(CorruptWeights, match=f"f cannot be used: it lacks the tensor {tensor} that"):
            check_complete({key: sizes for key, sizes in whole.items() if key != tensor}, shape, "", "f")
        with pytest.raises(CorruptWeights, match=f"its tensor {tensor} is 7 x 9, and by its config.json it has to be"):
            check_complete(whole | {tensor: (7, 9)}, shape, "", "f")
    with pytest.raises(CorruptWeights, match=r"it lacks the tensor model\.embed_tokens\.weight and \d+ more that"):
        check_complete({"x": (1,)}, shape, "", "f")


def renamed(change: Callable[[str], str], **more: tuple[int, ...]) -> Shapes:
    return {change(name): sizes for name, sizes in tiny_models.whole_model().items()} | more


@pytest.mark.parametrize(
    "shapes",
    [
        tiny_models.whole_model(),
        tiny_models.whole_model() | {HEAD: (256, 64)},
        renamed(lambda name: name.replace(EMBEDDINGS, HEAD)),  # the head alone, for both
        renamed(lambda name: name.removeprefix("model.")),  # a bare base model
        renamed(lambda name: f"language_model.{name}"),  # of a larger one: the loader knows whether it can
        tiny_models.whole_model() | {"model.layers.0.self_attn.rotary_emb.inv_freq": (8,)},
        tiny_models.whole_model() | {"model.rotary_emb.inv_freq": (8,), "something.else": (3, 4)},
    ],
)
def test_complete_in_other_ways(tmp_path: Path, shapes: Shapes) -> None:
    checks.check_folder(write(tmp_path, shapes), "tiny")


@pytest.mark.parametrize(
    ("shapes", "changes", "reason"),
    [
        (tiny_models.whole_model(), {"tie_word_embeddings": False}, r"lacks the tensor lm_head\.weight that"),
        (tiny_models.whole_model(), {"vocab_size": 300}, "embed_tokens.weight is 256 x 64, .* to be 300 x 64"),
        (tiny_models.whole_model(), {"intermediate_size": 96}, "gate_proj.weight is 128 x 64, .* to be 96 x 64"),
        (tiny_models.whole_model(), {"num_key_value_heads": 4}, "k_proj.weight is 32 x 64, .* to be 64 x 64"),
        (tiny_models.whole_model(), {"num_hidden_layers": 3}, r"layers\.2\.self_attn\.q_proj\.weight and 8 more"),
        (tiny_models.whole_model(), {"attention_bias": True}, r"layers\.0\.self_attn\.q_proj\.bias and 7 more"),
        (renamed(lambda name: name.replace("up_proj", "up")), NOTHING, r"layers\.0\.mlp\.up_proj\.weight and 1 more"),
    ],
)
def test_incomplete_folder(tmp_path: Path, shapes: Shapes, changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(CorruptWeights, match=reason) as caught:
        checks.check_folder(write(tmp_path, shapes, **changes), "tiny")
    assert caught.value.facts["file"] == "model.safetensors"


@pytest.mark.parametrize(("stated", "mode"), [(GPTQ, "gptq"), (AWQ, "awq"), (NF4, "nf4-single"), (INT8, "int8")])
def test_quantized_matrices_are_stored_otherwise(tmp_path: Path, stated: dict[str, Any], mode: str) -> None:
    folder = write(tmp_path, quantization_config=stated)
    tensors = tiny_models.quantized_tensors(stated)

    def check() -> None:
        (folder / "model.safetensors").write_bytes(save(tensors))
        checks.check_folder(folder, "tiny", checkpoint=mode)

    check()
    plain = "model.layers.1.mlp.down_proj.weight"  # a matrix that was left as it is
    tensors = {name: values for name, values in tensors.items() if not name.startswith(plain.removesuffix("weight"))}
    with pytest.raises(CorruptWeights, match=plain):
        check()
    tensors[plain] = numpy.zeros((64, 128), numpy.float16)
    check()
    del tensors["model.norm.weight"]
    with pytest.raises(CorruptWeights, match=r"model\.norm\.weight"):
        check()


def put(folder: Path, tokenizer: Any, config: Any = None, template: str = "") -> None:
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    (folder / "tokenizer_config.json").write_text(json.dumps(config or {}))
    if template:
        (folder / "chat_template.jinja").write_text(template)


FULL = {f"t{number}": number for number in range(256)}
EXTRA = [{"id": 256, "content": "<image>", "special": True}]


@pytest.mark.parametrize(
    ("tokenizer", "config", "template", "tokens"),
    [
        ({"model": {"vocab": FULL | {"more": 256}}}, {}, "", 257),
        ({"model": {"vocab": FULL | {"more": 999}}}, {}, "", 1000),
        ({"model": {"vocab": [[name, -1.0] for name in [*FULL, "more"]]}}, {}, "", 257),  # Unigram
        ({"model": {"vocab": FULL}, "added_tokens": EXTRA}, {"eos_token": "<image>"}, "", 257),
        ({"model": {"vocab": FULL}, "added_tokens": EXTRA}, {"bos_token": {"content": "<image>"}}, "", 257),
        ({"model": {"vocab": FULL}, "added_tokens": EXTRA}, {"chat_template": "{{ '<image>' }}"}, "", 257),
        ({"model": {"vocab": FULL}, "added_tokens": EXTRA}, {}, "<image>{{ messages }}", 257),
        ({"model": {"vocab": FULL}}, {}, "", 0),
        ({"model": {"vocab": {"a": 0}}}, {}, "", 0),  # embeddings without tokens fill the table up
        ({"model": {"vocab": FULL}, "added_tokens": EXTRA}, {"pad_token": "<image>"}, "{{ messages }}", 0),  # Gemma 3
        ({"model": {"vocab": FULL | {"<image>": 256}}, "added_tokens": EXTRA}, {}, "", 0),
        ({"model": {"vocab": 3}, "added_tokens": 4}, {"eos_token": 5}, "", 0),  # the loader says what is wrong
    ],
)
def test_tokens_without_embeddings(tmp_path: Path, tokenizer: Any, config: Any, template: str, tokens: int) -> None:
    folder = write(tmp_path)
    put(folder, tokenizer, config, template)
    if tokens:
        with pytest.raises(CorruptWeights, match=f"tokenizer.json .* has {tokens:,} tokens, .* embeddings for 256"):
            checks.check_folder(folder, "tiny")
    else:
        checks.check_folder(folder, "tiny")


def test_a_tokenizer_that_cannot_be_read(tmp_path: Path) -> None:
    for text in ("", "[]", "{"):
        (write(tmp_path) / "tokenizer.json").write_text(text)
        with pytest.raises(CorruptWeights, match=r"tokenizer\.json cannot be used: it is not a JSON object"):
            checks.check_folder(tmp_path, "tiny")


@pytest.mark.parametrize("file", ["config.json", "generation_config.json"])
@pytest.mark.parametrize(
    ("ids", "shown"),
    [
        ({"eos_token_id": "2"}, 'eos_token_id in its {} is "2", not a whole number of 0 to 255 or a list of them'),
        ({"eos_token_id": 2.0}, r"eos_token_id in its {} is 2\.0"),
        ({"eos_token_id": True}, "eos_token_id in its {} is true"),
        ({"eos_token_id": [1, "2"]}, r'eos_token_id in its {} is \[1, "2"\]'),
        ({"eos_token_id": 256}, "eos_token_id in its {} is 256"),
        ({"eos_token_id": -1}, "eos_token_id in its {} is -1"),
        ({"bos_token_id": [1]}, r"bos_token_id in its {} is \[1\], not a whole number of 0 to 255$"),
        ({"pad_token_id": 256}, "pad_token_id in its {} is 256"),
        ({"eos_token_id": [2, 3], "bos_token_id": 1, "pad_token_id": -1}, ""),
        ({"eos_token_id": None, "bos_token_id": None, "pad_token_id": None}, ""),
    ],
)
def test_token_ids_in_settings(tmp_path: Path, file: str, ids: dict[str, Any], shown: str) -> None:
    folder = write(tmp_path)
    known = json.loads((folder / file).read_text()) if (folder / file).exists() else {}
    (folder / file).write_text(json.dumps(known | ids))
    if not shown:
        checks.check_folder(folder, "tiny")
        return
    with pytest.raises(UnsafeWeights) as caught:
        checks.check_folder(folder, "tiny")
    assert re.search(shown.format(re.escape(file)), caught.value.facts["reason"])
