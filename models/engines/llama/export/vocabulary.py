"""A tokenizer, as transformers loads it, as the vocabulary of a GGUF file.

llama.cpp knows splits by name only. What they do stands in its llama-vocab.cpp; a tokenizer that splits in another way
is refused, since it would seem to work.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ....domain.errors import CannotExport
from ....system.files import read_json

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = 1, 2, 3, 4, 5, 6  # gguf-py's TokenType
# The regular expressions of tokenizers that are split by one, and llama.cpp's name of the split.
_LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|"
    r"\s+(?!\S)|\s+"
)
_SPLITS = {_LLAMA3: "llama-bpe", _LLAMA3.replace("{1,3}", ""): "qwen2"}
_SPECIAL = {"bos": "bos_token", "eos": "eos_token", "unknown": "unk_token", "padding": "pad_token"}


@dataclass(frozen=True)
class Vocabulary:
    """`kind` and `split` are llama.cpp's names of the tokenizer and of its split; `special` are ids by their names."""

    kind: str
    tokens: list[str]
    types: list[int]
    merges: list[str] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    split: str = ""
    special: dict[str, int] = field(default_factory=dict)
    starts_texts: bool = False  # a text begins with the token bos
    blank_before: bool = False  # of SentencePiece: a text is given a blank at its beginning


def read_vocabulary(folder: Path, size: int) -> Vocabulary:
    """The vocabulary of a folder, filled up to `size` tokens; raises CannotExport with the reason."""
    from transformers import AutoTokenizer

    # Not its tokenizer.json: for some models transformers takes the splits of their class instead.
    loaded = AutoTokenizer.from_pretrained(str(folder), trust_remote_code=False, local_files_only=True)
    if not loaded.is_fast:
        raise CannotExport(reason="it has no tokenizer.json")
    whole = json.loads(loaded.backend_tokenizer.to_str())
    model = whole.get("model") or {}
    if model.get("type") != "BPE":
        raise CannotExport(
            reason=f"its tokenizer is of the kind {model.get('type')}, and only BPE is written as GGUF here"
        )
    byte_level = not model.get("byte_fallback")
    changes = _normalizers(whole) - ({"NFC"} if byte_level else {"Prepend", "Replace"})
    if changes:
        raise CannotExport(reason=f"its tokenizer changes texts in a way that llama.cpp does not ({min(changes)})")
    tokens, types = _tokens(whole, size, byte_level)
    special, starts = _special(loaded, folder, size)
    merges = [pair if isinstance(pair, str) else " ".join(pair) for pair in model["merges"]]
    if byte_level:
        return Vocabulary("gpt2", tokens, types, merges, split=_split(whole), special=special, starts_texts=starts)
    scores = _scores(tokens, merges)
    return Vocabulary("llama", tokens, types, [], scores, "default", special, starts, _blank_before(whole))


def _tokens(whole: Mapping[str, Any], size: int, byte_level: bool) -> tuple[list[str], list[int]]:
    model = whole["model"]
    known: dict[int, tuple[str, int]] = {number: (token, NORMAL) for token, number in model["vocab"].items()}
    if not byte_level:
        bytes_ = {f"<0x{number:02X}>" for number in range(256)}
        known |= {number: (token, BYTE) for number, (token, _) in known.items() if token in bytes_}
    for added in whole.get("added_tokens") or ():
        if added["id"] < size:  # a class of transformers may add one that the model was never given
            known[added["id"]] = (added["content"], CONTROL if added["special"] else USER_DEFINED)
    if not byte_level and (number := model["vocab"].get(model.get("unk_token"))) is not None:
        known[number] = (model["unk_token"], UNKNOWN)
    if max(known) >= size:
        raise CannotExport(reason=f"its tokenizer has the token {max(known)}, and its embeddings have {size} rows")
    filled = [known.get(number, (f"[PAD{number}]", UNUSED)) for number in range(size)]
    return [token for token, _ in filled], [kind for _, kind in filled]


def _split(whole: Mapping[str, Any]) -> str:
    """llama.cpp's name of how a byte-level tokenizer splits a text."""
    stated = whole.get("pre_tokenizer") or {}
    parts = stated.get("pretokenizers") or [stated]
    kinds = [part.get("type") for part in parts]
    last = parts[-1] if kinds[-1] == "ByteLevel" and not parts[-1].get("add_prefix_space") else {}
    if kinds == ["Split", "ByteLevel"] and last and not last.get("use_regex", True):
        pattern = parts[0].get("pattern", {}).get("Regex")
        if parts[0].get("behavior") == "Isolated" and not parts[0].get("invert") and pattern in _SPLITS:
            return _SPLITS[pattern]
    if last and last.get("use_regex", True):
        if kinds == ["ByteLevel"]:
            return "gpt-2"
        if kinds == ["Digits", "ByteLevel"] and parts[0].get("individual_digits"):
            return "smollm"
    raise CannotExport(reason="its tokenizer splits texts in a way that has no name in llama.cpp")


def _scores(tokens: list[str], merges: list[str]) -> list[float]:
    """SentencePiece joins the pair of the highest score; the first of the merges is the one that is done first."""
    first: dict[str, int] = {}
    for rank, merge in enumerate(merges):
        first.setdefault(merge.replace(" ", "", 1), rank)
    return [-float(first.get(token, len(merges))) for token in tokens]


def _normalizers(whole: Mapping[str, Any]) -> set[str]:
    steps = whole.get("normalizer") or {}
    return {str(step["type"]) for step in steps.get("normalizers", [steps]) if step}


def _blank_before(whole: Mapping[str, Any]) -> bool:
    stated = whole.get("pre_tokenizer") or {}
    return "Prepend" in _normalizers(whole) or stated.get("prepend_scheme") in ("first", "always")


def _special(loaded: Any, folder: Path, size: int) -> tuple[dict[str, int], bool]:
    """The ids of special tokens, an end of a turn included, and whether texts begin with one."""
    ids = {name: getattr(loaded, f"{ours}_id") for name, ours in _SPECIAL.items()}
    found = {name: number for name, number in ids.items() if number is not None and number < size}
    stated = read_json(folder / "generation_config.json").get("eos_token_id")
    ends = [end for end in (stated if isinstance(stated, list) else [stated]) if isinstance(end, int)]
    if ends and "eos" not in found:
        found["eos"] = ends[0]
    if further := [end for end in ends if end != found["eos"]]:
        found["eot"] = further[0]
    start = loaded("a")["input_ids"][:1]
    return found, start == [found.get("bos")]
