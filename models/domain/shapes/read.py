"""From the fields of a transformers config.json to a shape."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .families import FAMILIES, Family
from .fields import BOUNDS, BadConfig, Fields
from .gemma4 import GEMMA4
from .parts import ATTENTION, norm
from .shape import Layer, Shape

KNOWN: dict[str, Family] = {**FAMILIES, "gemma4_text": GEMMA4}


@dataclass(frozen=True)
class Whole:
    """A multimodal model, by the class and the model type that its config.json names."""

    architecture: str
    text: tuple[str, ...]  # the model types that its text part can have


# Repositories whose text part, the `text_config` of their config.json, is loaded alone.
WHOLES: dict[str, Whole] = {
    "gemma3": Whole("Gemma3ForConditionalGeneration", ("gemma3_text",)),
    "gemma4": Whole("Gemma4ForConditionalGeneration", ("gemma4_text",)),
    "llama4": Whole("Llama4ForConditionalGeneration", ("llama4_text",)),
    "mistral3": Whole("Mistral3ForConditionalGeneration", ("ministral3", "mistral")),
    "qwen3_5": Whole("Qwen3_5ForConditionalGeneration", ("qwen3_5_text",)),
    "qwen3_5_moe": Whole("Qwen3_5MoeForConditionalGeneration", ("qwen3_5_moe_text",)),
}


def text_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """The config of the text part: the whole one, unless it is of a model that sees or hears too; raises BadConfig."""
    whole = WHOLES.get(str(config.get("model_type")))
    if whole is None:
        return dict(config)
    part = config.get("text_config")
    if not isinstance(part, dict):
        raise BadConfig("text_config in its config.json is not a table")
    kind = part.get("model_type", whole.text[0])
    if kind not in whole.text:
        raise BadConfig(f"the model type of its text part is {str(kind)[:40]}, not {' or '.join(whole.text)}")
    tied = config.get("tie_word_embeddings")
    # The whole ties its embeddings or not, whatever the part says of itself.
    return {"model_type": kind} | part | ({} if tied is None else {"tie_word_embeddings": tied})


def read_shape(config: Mapping[str, Any]) -> Shape:
    """The layers of a model by its config; raises BadConfig for one of another model type or with absurd sizes."""
    return _read(text_config(config))[0]


def entry_shape(entry: Any) -> Shape:
    """The same of an entry of our own tables, which may have no field that is none of its architecture."""
    if not isinstance(entry, dict):
        raise ValueError("it is not a table")
    shape, used = _read(entry)
    known = used | {"model_type", *BOUNDS} | set(KNOWN[shape.model_type].defaults)
    if unused := sorted(set(entry) - known):
        raise ValueError(f"{unused[0]} is not a known field of {shape.model_type}")
    return shape


def _read(config: Mapping[str, Any]) -> tuple[Shape, set[str]]:
    model_type = config.get("model_type")
    family = KNOWN.get(model_type) if isinstance(model_type, str) else None
    if family is None:
        raise BadConfig(f"its model type {str(model_type)[:40]} is not one that is counted")
    c = Fields(config, family.defaults)
    count, hidden, heads = c.size("num_hidden_layers"), c.size("hidden_size"), c.size("num_attention_heads")
    groups = c.size("num_key_value_heads", heads)
    if heads % groups:
        raise BadConfig(f"its {heads} heads cannot share {groups} key-value heads")
    kinds = c.kinds((*ATTENTION, *family.mixers)) or family.kinds(c, count)
    if len(kinds) != count:
        raise BadConfig(f"its config.json tells the kinds of {len(kinds)} layers, of {count}")
    shape = Shape(
        model_type=str(model_type),
        hidden=hidden,
        heads=heads,
        vocabulary=c.size("vocab_size"),
        tied_embeddings=c.flag("tie_embedding", c.flag("tie_word_embeddings")),
        layers=tuple(_layer(c, family, number, kind) for number, kind in enumerate(kinds)),
        outside=(*family.outside(c), norm(family.last_norm, hidden)),
    )
    return shape, c.used


def _layer(c: Fields, family: Family, number: int, kind: str) -> Layer:
    mixer, feed_forward, norms = family.layer(c, number, kind)
    return Layer(
        mixer.kind,
        (*mixer.weights, *feed_forward.weights, *norms),
        feed_forward.width,
        feed_forward.experts,
        feed_forward.active,
        mixer.kv_width,
        mixer.window,
        mixer.conv_width,
        mixer.kernel,
        mixer.fp32_state,
        mixer.scan,
    )
