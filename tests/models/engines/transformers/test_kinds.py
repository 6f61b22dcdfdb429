"""Every kind of decoder that is counted: it loads, chats, scores, reuses kept prefixes, and takes what was planned."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy
import pytest
import tiny_decoders
from safetensors.numpy import save_file
from tiny_decoders import DECODERS

from models.domain.catalog import ModelCard
from models.domain.engine import Prompt
from models.domain.errors import UnsafeWeights
from models.domain.load import ActiveAdapter, Adapter
from models.domain.lora import read_lora
from models.domain.memory.bytes import file_bytes, weight_bytes
from models.domain.memory.plan import ESTIMATE, EXPERTS_PLAIN, NOT_COUNTED, TEXT_ONLY, UNCOUNTED, Budget, notes, plan
from models.domain.messages import Message, Sampling, Scored
from models.domain.quantization import MODES, Machine, why_not
from models.domain.shapes.read import WHOLES, read_shape
from models.engines.device import native_bf16
from models.engines.transformers.engine_thread import engine_thread
from models.engines.transformers.prefix_cache import PrefixCache, _bytes
from models.weights.adapters.bases import base_of
from models.weights.adapters.checks import check_folder as check_adapter
from models.weights.hub_card import _read
from models.weights.verify import checks
from models.weights.verify.architectures import shape_of

GREEDY = Sampling(max_new_tokens=12, temperature=0)
MACHINE = Machine("cpu", native_bf16=native_bf16())
LONG = Prompt("Once upon a time there was a fox, and a crow with a piece of cheese. " * 6)
CHUNKS = 128  # tokens that scoring computes at once; LONG has more


@pytest.fixture(scope="module")
def folder(tmp_path_factory, built_decoder) -> Any:
    """A function that gives the folder of a random model of the table, built once."""

    @cache
    def built(name: str) -> Path:
        path = tmp_path_factory.mktemp("decoder")
        config = tiny_decoders.config_class(name, initializer_range=0.3)
        engine_thread().run(lambda: built_decoder(path, config))
        return Path(path)

    return built


@pytest.fixture(scope="module", params=DECODERS)
def opened_kind(request, folder, opened) -> Iterator[tuple[Any, ModelCard, Path]]:
    """An engine in fp32, the card that the checked folder gives, and the folder."""
    path = folder(request.param)
    engine = opened(path)
    yield engine, card_of(path), path
    engine.close()


def card_of(path: Path) -> ModelCard:
    config = checks.read_config(path, "m")
    checks.check_folder(path, "m")
    return ModelCard("tiny", "Tiny", "Tiny", "instruct", "owner/tiny", "mit", 512, read_shape(config))


def said(engine, history: list[Message], prompt: Prompt | None = None) -> tuple[str, int, int]:
    """The answer, its tokens, and how many of the prompt were not computed."""
    deltas = list(engine.generate(prompt or engine.render(history), GREEDY))
    usage = deltas[-1].usage
    return "".join(delta.text for delta in deltas), usage.new_tokens, usage.cached_tokens


def test_turns_that_go_on_are_edited_or_tried_again_are_what_a_fresh_model_says(opened_kind, monkeypatch) -> None:
    engine, _, _ = opened_kind
    first = [Message("user", "Tell me about foxes and crows, and about the cheese that fell.")]
    answer = said(engine, first)[0]
    follow = [*first, Message("assistant", answer), Message("user", "And then?")]
    edited = [*follow[:-1], Message("user", "And why did the crow sing?")]
    other = [Message("user", "Tell me about foxes and crows, and about nothing else.")]
    found = [said(engine, history) for history in (follow, edited, edited, first, other)]
    assert all(cached > 20 for _, _, cached in found[:4]), "what was computed before is used again"
    monkeypatch.setattr(engine, "_prefixes", PrefixCache(limit_bytes=0))
    for history, (text, tokens, _) in zip((follow, edited, edited, first, other), found, strict=True):
        assert said(engine, history) == (text, tokens, 0)


def test_continuing_and_scoring_are_what_one_pass_computes(opened_kind) -> None:
    engine, _, _ = opened_kind
    assert said(engine, [], Prompt("Once upon a time"))[1] > 0
    scored = next(event for event in engine.score(LONG) if isinstance(event, Scored))

    def one_pass() -> list[float]:
        import torch

        ids = torch.tensor([engine._loaded.tokenizer(LONG.text)["input_ids"]])
        with torch.inference_mode():
            likely = engine._loaded.model(input_ids=ids, use_cache=False).logits[0].log_softmax(-1)
        return [float(likely[at, token]) for at, token in enumerate(ids[0, 1:])]

    wanted = engine_thread().run(one_pass)
    assert len(wanted) > CHUNKS
    assert scored.log_probabilities == pytest.approx(wanted, abs=2e-3)


def kept_bytes(engine, tokens: int) -> int:
    """Of a real cache after so many tokens."""
    import torch
    from transformers import DynamicCache

    made = DynamicCache(config=engine._loaded.model.config)
    with torch.inference_mode():
        for token in range(tokens):
            engine._loaded.model(input_ids=torch.tensor([[token + 5]]), past_key_values=made, use_cache=True)
    return _bytes(made)


@pytest.mark.parametrize("tokens", [9, 40])
def test_caches_have_the_bytes_that_are_planned(opened_kind, tokens: int) -> None:
    """Of windows of 16 tokens within and beyond; computed a token at a time, as answers are."""
    engine, card, _ = opened_kind

    held = engine_thread().run(lambda: kept_bytes(engine, tokens))
    assert held == card.sizes.kv_bytes(tokens, 4) + card.sizes.state_bytes(4)


def test_an_adapter_of_its_attention_acts(opened_kind, tmp_path) -> None:
    engine, card, _ = opened_kind
    base = base_of(card)
    modules = {path: sizes for path, sizes in base.modules.items() if "_attn." in path}
    random, tensors = numpy.random.default_rng(1), {}
    for path, (outputs, inputs) in modules.items():
        for matrix, sizes in (("A", (4, inputs)), ("B", (outputs, 4))):
            tensors[f"base_model.model.{path}.lora_{matrix}.weight"] = random.normal(0, 0.5, sizes).astype("float32")
    targets = sorted({path.rpartition(".")[2] for path in modules})
    config = {"peft_type": "LORA", "task_type": "CAUSAL_LM", "r": 4, "lora_alpha": 8, "target_modules": targets}
    config["base_model_name_or_path"] = "owner/tiny"
    (tmp_path / "adapter_config.json").write_text(json.dumps(config))
    file = tmp_path / "adapter_model.safetensors"
    save_file(tensors, file)
    checked = check_adapter(tmp_path, "mine", base, 10**9)
    adapter = Adapter("mine", read_lora(config, "mine"), checked.parameters, str(file), "1")

    def scores(*adapters: ActiveAdapter) -> tuple[float, ...]:
        found = engine.score(Prompt("Once upon a time there was a fox."), adapters=adapters)
        return next(event for event in found if isinstance(event, Scored)).log_probabilities

    plain, changed = scores(), scores(ActiveAdapter(adapter, 1.0))
    assert max(abs(one - two) for one, two in zip(plain, changed, strict=True)) > 0.05
    assert scores() == plain


@pytest.mark.parametrize("mode", ["bf16", "nf4"])
@pytest.mark.parametrize("name", DECODERS)
def test_weights_have_the_bytes_that_are_planned(folder, opened, name: str, mode: str) -> None:
    """Experts are no Linear, so that nf4 leaves them in bf16, and the plan says so."""
    card = card_of(folder(name))
    engine = opened(folder(name), mode)
    try:
        assert said(engine, [Message("user", "Tell me about foxes.")])[1] > 0
        planned = plan("tiny", card, MODES[mode], MACHINE, Budget("main memory", 10**10, 10**10), 512)
        parts = weight_bytes(card, MODES[mode], MACHINE)
        assert planned.weights == sum(parts.values())
        assert planned.total > planned.weights
        assert (planned.parameters, planned.active_parameters) == (card.parameters, card.sizes.active_parameters)
        assert (EXPERTS_PLAIN in planned.notes) is (mode == "nf4" and card.sizes.experts[0] > 0)
        assert parts["experts"] == 2 * card.sizes.counted("experts")
        assert engine.bytes == pytest.approx(sum(parts.values()), rel=0.02)
        if mode == "bf16":
            assert sum(parts.values()) == 2 * card.parameters
        else:
            assert parts["quantized"] > 0, "sizes of the table that pack"
    finally:
        engine.close()
    assert engine.resident == engine.bytes, "ejected: no prefix and no adapter is left"


def test_experts_are_not_promised_in_four_bits() -> None:
    """By hand: 8 experts of 3 matrices 64 x 64 in three layers, of which a token uses 2."""
    shape = read_shape(tiny_decoders.config("qwen3_moe"))
    assert shape.counted("experts") == 3 * 8 * 3 * 64 * 64
    assert shape.parameters - shape.active_parameters == 3 * 6 * 3 * 64 * 64
    assert (
        replace(shape, layers=shape.layers[1:2]).active_parameters
        == replace(shape, layers=shape.layers[1:2]).parameters
    )


VISION: dict[str, Any] = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
IMAGE: dict[str, Any] = VISION | {"image_size": 28, "patch_size": 14}
QWEN_VISION: dict[str, Any] = {"depth": 1, "hidden_size": 32, "intermediate_size": 32, "num_heads": 2}
# The decoder of the text part, and the config of the part that sees.
SEEING: dict[str, tuple[str, dict[str, Any]]] = {
    "gemma3": ("gemma3_text", {"model_type": "siglip_vision_model"} | IMAGE),
    "gemma4": ("gemma4_text", VISION | {"num_key_value_heads": 2, "head_dim": 16}),
    "llama4": (
        "llama4_text",
        IMAGE | {"vision_output_dim": 32, "projector_input_dim": 32, "projector_output_dim": 32},
    ),
    "mistral3": ("ministral3", {"model_type": "pixtral", "head_dim": 16} | IMAGE),
    "qwen3_5": ("qwen3_5_text", QWEN_VISION | {"out_hidden_size": 64}),
    "qwen3_5_moe": ("qwen3_5_moe_text", QWEN_VISION | {"out_hidden_size": 64}),
}


@pytest.mark.parametrize("whole", WHOLES)
def test_of_a_model_that_sees_the_text_part_alone_is_loaded(whole: str, opened, built_decoder, tmp_path) -> None:
    """It answers as the whole model does, and is counted without what sees."""
    name, vision = SEEING[whole]

    def build() -> Any:
        import torch
        from transformers import AutoConfig, AutoModelForImageTextToText

        config = AutoConfig.for_model(
            whole, text_config=tiny_decoders.config(name, initializer_range=0.3), vision_config=vision
        )
        built_decoder(tmp_path, config.get_text_config())  # for its tokenizer, whose size the config gets
        (tmp_path / "generation_config.json").unlink()
        model = AutoModelForImageTextToText.from_config(config).eval()
        model.save_pretrained(tmp_path)
        with torch.inference_mode():
            return model(input_ids=torch.arange(5, 25)[None]).logits

    wanted = engine_thread().run(build)
    stated = json.loads((tmp_path / "config.json").read_text())
    assert stated["model_type"] == whole, "the whole model was saved"
    card = _read("owner/tiny", "owner/tiny", None, tmp_path, {})
    assert card.text_only
    assert card.parameters == card.sizes.parameters, "what sees is not counted"
    assert TEXT_ONLY in notes(card, MODES["bf16"])
    checks.check_folder(tmp_path, "m")
    engine = opened(tmp_path)

    def logits() -> Any:
        import torch

        model = engine._loaded.model
        assert card.sizes.parameters == sum(parameter.numel() for parameter in model.parameters())
        with torch.inference_mode():
            return model(input_ids=torch.arange(5, 25)[None]).logits

    assert float((engine_thread().run(logits) - wanted).abs().max()) < 1e-4 * float(wanted.abs().max())
    assert said(engine, [Message("user", "Hi")])[1] > 0
    engine.close()


def _as_mxfp4(tensors: dict[str, Any]) -> dict[str, Any]:
    """Experts in blocks of 32 values of 4 bits with a scale, as gpt-oss stores them; random ones."""
    import torch

    found = {}
    for name, values in tensors.items():
        if name.endswith(("experts.gate_up_proj", "experts.down_proj")):
            count, inputs, outputs = values.shape
            found[f"{name}_blocks"] = torch.randint(0, 256, (count, outputs, inputs // 32, 16), dtype=torch.uint8)
            found[f"{name}_scales"] = torch.randint(118, 124, (count, outputs, inputs // 32), dtype=torch.uint8)
        else:
            found[name] = values
    return found


def _as_fp8(tensors: dict[str, Any], blocks: bool) -> dict[str, Any]:
    """Matrices in fp8 with a scale for each block of 128 x 128, or for the whole."""
    import torch

    found = {}
    for name, values in tensors.items():
        if name.endswith("_proj.weight"):
            found[name] = (values / 2).to(torch.float8_e4m3fn)
            sizes = [-(-size // 128) for size in values.shape] if blocks else []
            found[name.replace("weight", "weight_scale_inv")] = torch.full(sizes, 2.0)
        else:
            found[name] = values
    return found


FP8 = {"quant_method": "fp8", "activation_scheme": "dynamic", "weight_block_size": [128, 128]}
STATIC = {"quant_method": "fp8", "activation_scheme": "static", "weight_block_size": None}


@pytest.mark.parametrize(
    ("name", "stated", "pack"),
    [
        ("gpt_oss", {"quant_method": "mxfp4", "modules_to_not_convert": ["model.layers.*.self_attn"]}, _as_mxfp4),
        ("qwen3", FP8, lambda tensors: _as_fp8(tensors, True)),
        ("qwen3", STATIC, lambda tensors: _as_fp8(tensors, False)),
    ],
)
def test_fp8_and_mxfp4_become_bf16_as_they_are_loaded(name, stated, pack, opened, built_decoder, tmp_path) -> None:
    config = tiny_decoders.config_class(name, initializer_range=0.3, dtype="bfloat16")
    engine_thread().run(lambda: built_decoder(tmp_path, config))
    file, plain = tmp_path / "model.safetensors", {}

    def rewrite() -> None:
        from safetensors.torch import load_file, save_file

        plain.update(load_file(file))
        save_file(pack(plain), file, metadata={"format": "pt"})

    engine_thread().run(rewrite)
    written = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(written | {"quantization_config": stated}))
    card = _read("owner/tiny", "owner/tiny", None, tmp_path, {})
    assert card.checkpoint == "bf16"
    header = 8 + int.from_bytes(file.read_bytes()[:8], "little")
    assert file_bytes(card, MODES["bf16"]) == pytest.approx(file.stat().st_size - header, rel=0.01)
    assert "become bf16" in why_not(MODES["nf4"], card, MACHINE, adapters=False)
    checks.check_folder(tmp_path, "m", checkpoint="bf16")
    with pytest.raises(UnsafeWeights):
        checks.check_folder(tmp_path, "m")
    engine = opened(tmp_path, "bf16")
    assert engine.bytes == pytest.approx(2 * card.parameters, rel=0.02)
    assert said(engine, [Message("user", "Hi")])[1] > 0
    if name == "qwen3":
        loaded = engine._loaded.model.model.layers[0].mlp.up_proj.weight
        wanted = plain["model.layers.0.mlp.up_proj.weight"]
        assert float((loaded - wanted).norm() / wanted.norm()) < 0.05
    engine.close()


@pytest.mark.parametrize("kind", ["seed_oss", "cohere2", "arcee", "gpt2"])
def test_a_decoder_that_only_transformers_knows_is_loaded_with_an_estimate(
    kind: str, opened, built_decoder, tmp_path
) -> None:
    """Its weights are counted by the headers, its caches by its layer_types; GPT-2 calls its sizes otherwise."""
    sizes = tiny_decoders.COMMON | {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1, "sliding_window": 16}

    def build() -> None:
        from transformers import AutoConfig

        built_decoder(tmp_path, AutoConfig.for_model(kind, initializer_range=0.3, **sizes))

    engine_thread().run(build)
    card = _read("owner/tiny", "owner/tiny", None, tmp_path, {})
    assert (kind == "gpt2") is ("n_embd" in json.loads((tmp_path / "config.json").read_text()))
    assert ESTIMATE in notes(card, MODES["bf16"])
    assert NOT_COUNTED in notes(replace(card, counted_parameters=None), MODES["bf16"])
    checks.check_folder(tmp_path, "m")
    engine = opened(tmp_path, "bf16")
    assert card.parameters == sum(parameter.numel() for parameter in engine._loaded.model.parameters())
    assert sum(weight_bytes(card, MODES["bf16"]).values()) == pytest.approx(engine.bytes, rel=0.02)
    assert engine_thread().run(lambda: kept_bytes(engine, 40)) == card.sizes.kv_bytes(40, 2)
    assert said(engine, [Message("user", "Tell me about foxes.")])[1] > 0
    engine.close()


def test_latent_attention_keeps_what_keys_and_values_are_made_of(opened, built_decoder, tmp_path) -> None:
    ranks = {"q_lora_rank": 16, "kv_lora_rank": 16, "qk_rope_head_dim": 8, "qk_nope_head_dim": 16, "v_head_dim": 16}
    ranks |= {"n_routed_experts": 8, "n_group": 2, "topk_group": 1, "num_experts_per_tok": 2, "num_key_value_heads": 4}
    sizes = tiny_decoders.COMMON | ranks | {"moe_intermediate_size": 32, "first_k_dense_replace": 1, "head_dim": 8}

    def build() -> None:
        from transformers import AutoConfig

        built_decoder(tmp_path, AutoConfig.for_model("deepseek_v3", **sizes, bos_token_id=0, eos_token_id=1))

    engine_thread().run(build)
    card = _read("owner/tiny", "owner/tiny", None, tmp_path, {})
    engine = opened(tmp_path, "bf16")
    assert engine_thread().run(lambda: kept_bytes(engine, 40)) == card.sizes.kv_bytes(40, 2)
    assert said(engine, [Message("user", "Tell me about foxes.")])[1] > 0
    engine.close()


def test_a_kind_of_layer_that_nobody_counted_is_said() -> None:
    config = tiny_decoders.COMMON | {"architectures": ["NemotronHForCausalLM"], "layer_types": ["mamba3"] * 4}
    card = ModelCard("m", "M", "M", "base", "o/m", "mit", 512, shape_of(config, "m"))
    assert UNCOUNTED.format(kind="mamba3") in notes(card, MODES["bf16"])
    hybrid = tiny_decoders.COMMON | {"architectures": ["BambaForCausalLM"], "attn_layer_indices": [1, 3]}
    assert shape_of(hybrid, "m").uncounted == ("Mamba",), "by the fields of its class, where no list tells the kinds"
    for odd in ("NotThereForCausalLM", "BertLMHeadModel"):
        with pytest.raises(UnsafeWeights, match="is not one that this app loads"):
            shape_of(config | {"architectures": [odd]}, "m")
