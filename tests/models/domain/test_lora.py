"""What an adapter_config.json may say, and every reason to refuse one."""

from __future__ import annotations

import json
import math
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.domain.errors import AdapterRefused
from models.domain.lora import LoraConfig, matrix_of, read_lora, shown

PLAIN: dict[str, Any] = {"peft_type": "LORA", "r": 8, "lora_alpha": 16, "target_modules": ["q_proj", "v_proj"]}
WRITTEN_BY_PEFT = """{
  "alora_invocation_tokens": null, "alpha_pattern": {}, "arrow_config": null, "auto_mapping": null,
  "base_model_name_or_path": "owner/base", "bias": "none", "corda_config": null, "ensure_weight_tying": false,
  "eva_config": null, "exclude_modules": null, "fan_in_fan_out": false, "inference_mode": true,
  "init_lora_weights": true, "layer_replication": null, "layers_pattern": null, "layers_to_transform": null,
  "loftq_config": {}, "lora_alpha": 32, "lora_bias": false, "lora_dropout": 0.05, "megatron_config": null,
  "megatron_core": "megatron.core", "modules_to_save": null, "peft_type": "LORA", "peft_version": "0.19.0",
  "qalora_group_size": 16, "r": 16, "rank_pattern": {}, "revision": null, "target_modules": ["q_proj", "v_proj"],
  "target_parameters": null, "task_type": "CAUSAL_LM", "trainable_token_indices": null, "use_dora": false,
  "use_qalora": false, "use_rslora": false
}"""


def test_config_as_peft_writes_it() -> None:
    assert read_lora(json.loads(WRITTEN_BY_PEFT), "x") == LoraConfig(16, 32.0, ("q_proj", "v_proj"), "owner/base")


def test_rank_and_alpha_by_module() -> None:
    patterns = {"rank_pattern": {"layers.0.self_attn.q_proj": 2, "q_proj": 4}, "alpha_pattern": {"v_proj": 64}}
    config = read_lora(PLAIN | patterns, "x")
    first, second = "model.layers.0.self_attn.q_proj", "model.layers.1.self_attn.q_proj"
    value = "model.layers.1.self_attn.v_proj"
    assert [config.rank_of(module) for module in (first, second, value)] == [2, 4, 8]
    assert [config.scaling(module) for module in (first, second, value)] == [16 / 2, 16 / 4, 64 / 8]
    assert config.targets_module(value)
    assert not config.targets_module("model.layers.1.self_attn.my_v_proj")


def test_first_pattern_wins_as_in_peft() -> None:
    config = read_lora(PLAIN | {"rank_pattern": {"q_proj": 4, "layers.0.self_attn.q_proj": 2}}, "x")
    assert config.rank_of("model.layers.0.self_attn.q_proj") == 4


def test_rank_stabilized_scaling() -> None:
    assert read_lora(PLAIN | {"use_rslora": True}, "x").scaling("a.q_proj") == 16 / math.sqrt(8)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"peft_type": "IA3"}, "it is of the type “IA3”, and only LORA is supported"),
        ({"task_type": "SEQ_CLS"}, "it is for the task “SEQ_CLS”, not for text generation"),
        ({"use_dora": True}, "it is a DoRA"),
        ({"modules_to_save": ["lm_head"]}, "it replaces whole modules of the base"),
        ({"alora_invocation_tokens": [1]}, "activated LoRA"),
        ({"layer_replication": [[0, 4]]}, "it repeats layers of the base"),
        ({"trainable_token_indices": [5]}, "single embeddings"),
        ({"target_parameters": ["mlp.experts"]}, "outside of linear layers"),
        ({"use_qalora": True}, "QA-LoRA"),
        ({"lora_bias": True}, "matrices have biases"),
        ({"use_something_new": {"a": 1}}, "it sets “use_something_new”, which is not supported"),
        ({"bias": "all"}, "it also changes biases of the base"),
        ({"fan_in_fan_out": True}, "stored transposed"),
        ({"init_lora_weights": "pissa"}, "a base that was changed at the start (“pissa”)"),
        ({"init_lora_weights": 1}, "a base that was changed at the start"),
        ({"r": 0}, "the rank r is “0”, not a whole number from 1 to 512"),
        ({"r": 8.0}, "the rank r is “8.0”"),
        ({"r": True}, "the rank r is “True”"),
        ({"lora_alpha": math.nan}, "the scale lora_alpha is “nan”"),
        ({"lora_alpha": -1}, "the scale lora_alpha is “-1”, not a number above 0 and up to 4096"),
        ({"lora_alpha": 10**400}, "the scale lora_alpha is “1000"),
        ({"rank_pattern": {"q_proj": 10**7}}, "the rank q_proj is “10000000”"),
        ({"rank_pattern": {"(a+)+$": 4}}, "its rank_pattern holds “(a+)+$”, which is not a plain module name"),
        ({"alpha_pattern": {"q_proj": "x"}}, "the scale q_proj is “x”"),
        ({"alpha_pattern": [1]}, "its alpha_pattern cannot be used"),
        ({"rank_pattern": {f"a{n}": 4 for n in range(5000)}}, "its rank_pattern cannot be used"),
        ({"target_modules": ".*q_proj"}, "a regular expression"),
        ({"target_modules": []}, "not a list of module names"),
        ({"target_modules": [1]}, "its target module “1” is not a plain name"),
        ({"target_modules": ["q_proj|k_proj"]}, "is not a plain name"),
        ({"target_modules": [f"a{n}" for n in range(65)]}, "it names 65 target modules, more than 64"),
        ({"target_modules": ["q_proj", "model.embed_tokens"]}, "it changes the embeddings (embed_tokens)"),
    ],
)
def test_refused(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(AdapterRefused) as caught:
        read_lora(PLAIN | changes, "somebody/x")
    assert reason in caught.value.message
    assert caught.value.message.startswith("The adapter somebody/x is refused: ")
    assert len(caught.value.message) < 250


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(), children, max_size=4),
    max_leaves=12,
)


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.sampled_from([*PLAIN, "rank_pattern", "use_dora", "bias", "base_model_name_or_path"]), _JSON))
def test_nothing_but_a_refusal_comes_out(changes: dict[str, Any]) -> None:
    try:
        config = read_lora(PLAIN | changes, "x")
    except AdapterRefused as refused:
        refused.message.encode()  # half of a surrogate pair would end whoever writes it down
    else:
        assert 1 <= config.rank_of("model.layers.0.self_attn.q_proj") <= 512
        assert math.isfinite(config.scaling("q_proj"))
        config.base.encode()


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.text(), _JSON))
def test_any_object_at_all(data: dict[str, Any]) -> None:
    with pytest.raises(AdapterRefused):
        read_lora(data, "x")


def test_what_cannot_be_printed_is_left_out() -> None:
    assert shown("a\u202eb\ud800\n<c>") == "“ab<c>”"
    assert shown(10**5000) == "“int”"
    assert shown("y" * 60) == f"“{'y' * 40}…”"
    assert read_lora(PLAIN | {"base_model_name_or_path": "a\ud800\u0000/b" + "c" * 999}, "x").base == "a/b" + "c" * 195


def test_thousands_of_patterns_take_no_time() -> None:
    names = [f"model.layers.{n}.self_attn.q_proj" for n in range(4096)]
    config = read_lora(PLAIN | {"rank_pattern": {name: 1 + n % 512 for n, name in enumerate(names)}}, "x")
    started = time.process_time()
    assert [config.rank_of(name) for name in names] == [1 + n % 512 for n in range(4096)]
    assert time.process_time() - started < 0.5


@pytest.mark.parametrize(
    ("tensor", "found"),
    [
        ("base_model.model.model.layers.0.mlp.up_proj.lora_A.weight", ("model.layers.0.mlp.up_proj", "A")),
        ("base_model.model.lm_head.lora_B.default.weight", ("lm_head", "B")),
        ("model.layers.0.mlp.up_proj.lora_B.weight", ("model.layers.0.mlp.up_proj", "B")),
        ("model.layers.0.mlp.up_proj.lora_B.bias", None),
        ("model.layers.0.mlp.up_proj.lora_C.weight", None),
        ("model.embed_tokens.lora_embedding_A", None),
        ("x.lora_A.other.weight", None),
    ],
)
def test_names_of_matrices(tensor: str, found: tuple[str, str] | None) -> None:
    assert matrix_of(tensor) == found
