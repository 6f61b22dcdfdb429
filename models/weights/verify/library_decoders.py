"""The decoders that the installed transformers builds itself, read from its source without importing it."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

TABLE = "MODEL_FOR_CAUSAL_LM_MAPPING_NAMES"
HEADS = "num_key_value_heads"
OTHERS = ("GPT2LMHeadModel",)  # with a cache like those whose names end as today's do


@cache
def library_decoders() -> dict[str, str]:
    """The model type by the name of the class; empty where transformers is not installed or its table is elsewhere."""
    for folder in _models():
        for node in _body(folder / "auto" / "modeling_auto.py"):
            if isinstance(node, ast.Assign) and _name(node.targets[0]) == TABLE:
                assert isinstance(node.value, ast.Call)
                pairs = ast.literal_eval(node.value.args[0])
                named = {name: kind for kind, name in pairs if isinstance(name, str)}
                return {name: kind for name, kind in named.items() if name.endswith("ForCausalLM") or name in OTHERS}
    return {}


def standard_names(config: Mapping[str, Any]) -> dict[str, Any]:
    """A config with the defaults of its class, and under the usual names what its class calls otherwise (n_embd)."""
    defaults, names = _config_class(str(config.get("model_type")))
    usual = {name: config.get(own, config.get(name, defaults.get(own))) for name, own in names.items()}
    found = {**defaults, **config, **usual}
    if defaults and HEADS not in {**defaults, **names}:  # each head has its own keys, or all share one
        several = found.get("new_decoder_architecture") or not found.get("multi_query")
        found[HEADS] = found.get("num_attention_heads") if several else 1
    return found


@cache
def _config_class(kind: str) -> tuple[dict[str, Any], dict[str, str]]:
    """The defaults of a model type's config that are plain values, and its own names by the usual ones."""
    for folder in _models() if kind in library_decoders().values() else ():
        for file in folder.glob(f"{kind.replace('-', '_')}/configuration_*.py"):
            for node in _body(file):
                found = dict(_fields(node)) if isinstance(node, ast.ClassDef) else {}
                if found.get("model_type") == kind:
                    return found, found.get("attribute_map", {})
    return {}, {}


def _fields(node: ast.ClassDef) -> Iterator[tuple[str, Any]]:
    for line in node.body:
        target = line.targets[0] if isinstance(line, ast.Assign) else getattr(line, "target", None)
        if isinstance(line, ast.Assign | ast.AnnAssign) and line.value is not None:
            try:
                yield _name(target), ast.literal_eval(line.value)
            except ValueError:  # computed
                continue


def _models() -> list[Path]:
    found = find_spec("transformers")
    return [Path(folder, "models") for folder in found.submodule_search_locations or ()] if found else []


def _body(file: Path) -> list[ast.stmt]:
    return ast.parse(file.read_text(encoding="utf-8")).body if file.is_file() else []


def _name(node: ast.AST | None) -> str:
    return getattr(node, "id", "")
