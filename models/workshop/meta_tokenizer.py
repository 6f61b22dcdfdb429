"""Meta's tokenizer.model as a Hugging Face tokenizer: SentencePiece up to Llama 2, tiktoken from Llama 3 on.

Neither of these packages is needed: both files are read here. The order of merges is transformers' own.
"""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..domain.errors import BadCheckpoint
from ..system.durable import write_text

MODEL = "tokenizer.model"
BEGIN_3, END_3, TURN_3 = "<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>"
LONGEST = 50_000_000  # bytes
_CONTROL, _UNKNOWN, _USER = 3, 2, 4  # types of SentencePiece


@dataclass(frozen=True)
class TokenizerFiles:
    """What is written beside the weights, by name, and the tokens that begin and end a text."""

    files: dict[str, str]
    ids: dict[str, Any]  # bos_token_id, eos_token_id
    is_llama_3: bool
    size: int  # tokens


def read_tokenizer(path: Path, params_scaled: bool, chat_template: str) -> TokenizerFiles:
    """The tokenizer of a tokenizer.model; raises BadCheckpoint.

    `params_scaled` says that it is Llama 3.1 or later, whose reserved tokens have other names. With a chat template an
    answer also ends where a turn does.
    """
    raw = path.read_bytes() if path.stat().st_size <= LONGEST else b""
    try:
        ranks = _ranks(raw)
        return _llama_3(ranks, params_scaled, chat_template) if ranks else _llama_2(raw, chat_template)
    except (ValueError, IndexError, KeyError, struct.error, UnicodeDecodeError) as error:
        raise BadCheckpoint(folder=path.parent.name, reason=f"its {MODEL} cannot be read") from error


def write_tokenizer(found: TokenizerFiles, folder: Path) -> None:
    """Write the files."""
    for name, text in found.files.items():
        write_text(folder / name, text)


# --- Llama 3 ------------------------------------------------------------------------------------------------


def special_tokens(is_3_1: bool) -> list[str]:
    """The 256 tokens behind the vocabulary; source: transformers' converter, DEFAULT_LLAMA_SPECIAL_TOKENS."""
    reserved = [f"<|reserved_special_token_{number}|>" for number in range(256)]
    head, turn = ["<|start_header_id|>", "<|end_header_id|>"], TURN_3
    if is_3_1:
        start = [BEGIN_3, END_3, *reserved[:2], "<|finetune_right_pad_id|>", reserved[2], *head]
        return [*start, "<|eom_id|>", turn, "<|python_tag|>", *reserved[3:248]]
    return [BEGIN_3, END_3, *reserved[:4], *head, reserved[4], turn, *reserved[5:251]]


def _ranks(raw: bytes) -> dict[bytes, int]:
    """The lines of tiktoken's format; empty for another."""
    ranks = {}
    for line in raw.splitlines():
        token, blank, rank = line.partition(b" ")
        if not blank or not rank.isdigit():
            return {}
        try:
            ranks[base64.b64decode(token, validate=True)] = int(rank)
        except ValueError:
            return {}
    return ranks


def _llama_3(ranks: dict[bytes, int], is_3_1: bool, chat_template: str) -> TokenizerFiles:
    from tokenizers import processors
    from transformers.convert_slow_tokenizer import TikTokenConverter

    class Read(TikTokenConverter):  # type: ignore[misc]
        load_tiktoken_bpe = staticmethod(lambda path: ranks)

    special = special_tokens(is_3_1)
    tokenizer = Read(extra_special_tokens=special).converted()
    begin = tokenizer.token_to_id(BEGIN_3)
    starting = processors.TemplateProcessing(
        single=f"{BEGIN_3} $A", pair=f"{BEGIN_3}:0 $A:0 {BEGIN_3}:1 $B:1", special_tokens=[(BEGIN_3, begin)]
    )
    tokenizer.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=False), starting])
    end = tokenizer.token_to_id(END_3)
    turns = ["<|eom_id|>", TURN_3] if is_3_1 else [TURN_3]
    ends = [end, *(tokenizer.token_to_id(token) for token in turns)] if chat_template else end
    marks = {"bos_token": BEGIN_3, "eos_token": TURN_3 if chat_template else END_3}
    files = _files(tokenizer, marks, chat_template)
    return TokenizerFiles(files, {"bos_token_id": begin, "eos_token_id": ends}, True, tokenizer.get_vocab_size())


# --- Llama 2 ------------------------------------------------------------------------------------------------


def _llama_2(raw: bytes, chat_template: str) -> TokenizerFiles:
    from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, processors
    from transformers.tokenization_utils_base import generate_merges

    pieces = [_piece(value) for number, value in _fields(raw) if number == 1]
    names = [text for text, _, _ in pieces]
    control = [text for text, _, kind in pieces if kind in (_CONTROL, _UNKNOWN)]
    unknown = next(text for text, _, kind in pieces if kind == _UNKNOWN)
    begin, end, *_ = (text for text, _, kind in pieces if kind == _CONTROL)
    vocabulary = {text: number for number, text in enumerate(names)}
    if len(vocabulary) != len(names):
        raise ValueError("a piece comes twice")
    merges = generate_merges(vocabulary, {text: score for text, score, _ in pieces}, control)
    tokenizer = Tokenizer(models.BPE(vocabulary, merges, unk_token=unknown, fuse_unk=True, byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    back = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    tokenizer.decoder = decoders.Sequence(back)
    tokenizer.add_special_tokens([AddedToken(text, normalized=False, special=True) for text in control])
    users = [AddedToken(text, normalized=False, special=False) for text, _, kind in pieces if kind == _USER]
    tokenizer.add_tokens(users)
    number = vocabulary[begin]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{begin} $A", pair=f"{begin}:0 $A:0 {begin}:1 $B:1", special_tokens=[(begin, number)]
    )
    files = _files(tokenizer, {"bos_token": begin, "eos_token": end, "unk_token": unknown}, chat_template)
    ids = {"bos_token_id": number, "eos_token_id": vocabulary[end]}
    return TokenizerFiles(files, ids, False, len(names))


def _files(tokenizer: Any, marks: dict[str, str], chat_template: str) -> dict[str, str]:
    # Of the general class, which takes tokenizer.json as it is; the one called Llama's would build its own.
    stated: dict[str, Any] = {"tokenizer_class": "PreTrainedTokenizerFast", **marks}
    stated |= {"model_input_names": ["input_ids", "attention_mask"], "clean_up_tokenization_spaces": False}
    files = {"tokenizer.json": tokenizer.to_str(), "tokenizer_config.json": json.dumps(stated, indent=2) + "\n"}
    return files | ({"chat_template.jinja": chat_template} if chat_template else {})


def _piece(raw: bytes) -> tuple[str, float, int]:
    """A piece, its score and its type (1: an ordinary one)."""
    found = dict(_fields(raw))
    score = struct.unpack("<f", found[2])[0] if 2 in found else 0.0
    return found[1].decode(), score, int.from_bytes(found.get(3, b"\x01"), "little")


def _fields(raw: bytes) -> Iterator[tuple[int, bytes]]:
    """The fields of a protocol buffer by number; a whole number comes as its bytes, the lowest first."""
    at = 0
    while at < len(raw):
        key, at = _varint(raw, at)
        kind = key & 7
        if kind == 0:
            value, at = _varint(raw, at)
            yield key >> 3, value.to_bytes(10, "little")
            continue
        size, at = _varint(raw, at) if kind == 2 else ({1: 8, 5: 4}[kind], at)
        if at + size > len(raw):
            raise ValueError("cut short")
        yield key >> 3, raw[at : at + size]
        at += size


def _varint(raw: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = raw[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError("absurd number")
