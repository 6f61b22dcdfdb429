"""The decoder architectures that are loaded, and the shape and context that a config.json states."""

from __future__ import annotations

from typing import Any

from ...domain.errors import UnsafeWeights
from ...domain.shapes.estimated import estimated_shape
from ...domain.shapes.fields import BadConfig, Fields
from ...domain.shapes.read import KNOWN, WHOLES, read_shape, text_config
from ...domain.shapes.shape import Shape
from .library_decoders import library_decoders, standard_names

# Model type by the architecture that a config.json names; of a multimodal model, the text part of which is loaded, too.
ARCHITECTURES: dict[str, str] = {family.architecture: name for name, family in KNOWN.items()}
ARCHITECTURES |= {whole.architecture: name for name, whole in WHOLES.items()}


def read_architecture(config: dict[str, Any], model: str) -> str:
    """The one architecture that a config names; raises UnsafeWeights unless transformers itself builds it."""
    named = config.get("architectures")
    if not isinstance(named, list) or len(named) != 1 or not isinstance(named[0], str):
        raise UnsafeWeights(model=model, reason="its config.json does not name one architecture")
    if named[0] not in ARCHITECTURES and named[0] not in library_decoders():
        raise UnsafeWeights(model=model, reason=f"its architecture {named[0][:60]} is not one that this app loads")
    return named[0]


def check_model_type(config: dict[str, Any], model: str) -> None:
    """Raise UnsafeWeights when a config calls its model otherwise than the architecture that it names."""
    name = read_architecture(config, model)
    kind = config.get("model_type")
    if kind is not None and kind != _model_type(name):
        raise UnsafeWeights(
            model=model, reason=f"its config.json says {name}, and a model type of another ({str(kind)[:40]})"
        )


def _model_type(architecture: str) -> str:
    return ARCHITECTURES.get(architecture) or library_decoders()[architecture]


def shape_of(config: dict[str, Any], model: str) -> Shape:
    """The shape of a model from its config.json; raises UnsafeWeights when a size is missing or absurd."""
    name = read_architecture(config, model)
    named = {"model_type": _model_type(name)} | config
    try:
        return read_shape(named) if name in ARCHITECTURES else estimated_shape(standard_names(named))
    except BadConfig as fault:
        raise UnsafeWeights(model=model, reason=str(fault)) from fault


def read_context(config: dict[str, Any], model: str) -> int:
    """The context length in tokens that a config.json declares; raises UnsafeWeights."""
    kind = config.get("model_type") or _model_type(read_architecture(config, model))
    try:
        named = text_config(config) if kind in (*KNOWN, *WHOLES) else standard_names({"model_type": kind} | config)
        return Fields(named, {}).size("max_position_embeddings")
    except BadConfig as fault:
        raise UnsafeWeights(model=model, reason=str(fault)) from fault
