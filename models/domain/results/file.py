"""A comparison as a JSON file, and back with nothing forged let through."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import Any, get_args

from ..catalog import Kind
from ..checked_json import Unfit, body, flag, maybe, number, one_of, parse, plain, record, row, several, text, whole
from ..errors import BadComparison, PaddockError
from ..messages import SEED_MAX, STOP_STRING_LENGTH, STOP_STRINGS_MAX, Finish, Message, Role, Sampling, Usage
from ..variant import ADAPTERS_MAX, LONGEST_SPELLING
from .comparison import MOST_ALTERNATIVES, MOST_COLUMNS, Compared, Comparison, TokenView
from .measured import Measured

FORMAT, VERSION = "paddock-comparison", 1
LONGEST_FILE = 5_000_000  # bytes
_BYTES = whole(0, 10**15)
_COUNT = whole(0, 10**7)
_SECONDS = number(0, 1e8)
_SPEED = number(0, 1e9)
_ANY = number(-1e30, 1e30)  # what may be judged only by who made it: Sampling does, at its birth
_NAME = text(LONGEST_SPELLING)
_LONG = text(200_000)
_NOTE = text(4_000)

_FIGURES = record(
    Measured,
    {
        "variant": _NAME,
        "reference": flag,
        **dict.fromkeys(("predicted_bytes", "measured_bytes", "peak_bytes"), maybe(_BYTES)),
        **dict.fromkeys(("load_s", "ttft_s"), maybe(_SECONDS)),
        "decode_tokens_per_s": maybe(_SPEED),
        **dict.fromkeys(("perplexity", "bits_per_byte"), maybe(number(0, 1e30))),
        "agreement": maybe(number(0, 1)),
        "divergence": maybe(number(-1, 1e6)),  # a little below 0 where a sum was rounded
        "parts_at": maybe(_COUNT),
        "answer_tokens": _COUNT,
        "answer": _LONG,
        "note": _NOTE,
        "error": _NOTE,
    },
)
_USAGE = record(
    Usage,
    {
        "variant": _NAME,
        "engine": text(100),
        **dict.fromkeys(("prompt_tokens", "cached_tokens", "new_tokens", "context"), _COUNT),
        **dict.fromkeys(("ttft_s", "wall_s", "load_s"), _SECONDS),
        **dict.fromkeys(("prefill_tokens_per_s", "decode_tokens_per_s"), _SPEED),
        "peak_bytes": _BYTES,
        "seed": maybe(whole(0, SEED_MAX)),
        "finish": maybe(one_of(*get_args(Finish))),
        "adapters": several(_NAME, ADAPTERS_MAX),
        "origin": text(100),
        "notes": several(_NOTE, 10),
    },
)
_TOKEN = row(
    TokenView,
    text(1_000),
    number(0, 1),
    several(row(lambda *pair: pair, text(1_000), number(0, 1)), MOST_ALTERNATIVES),
)
_COLUMN = record(
    Compared,
    {
        **dict.fromkeys(("variant", "resolved"), _NAME),
        "kind": one_of(*get_args(Kind)),
        "prompt": _LONG,
        "turns": several(record(Message, {"role": one_of(*get_args(Role)), "content": _LONG}), 1_000),
        "answer": _LONG,
        "usage": maybe(_USAGE),
        "figures": _FIGURES,
        "predicted_peak": maybe(_BYTES),
        "tokenizer": text(1_000),
        "parts_at_character": maybe(_COUNT),
        "tokens": several(_TOKEN, 10_000),
        "error": _NOTE,
    },
)
_SAMPLING = record(
    Sampling,
    {
        **dict.fromkeys(("max_new_tokens", "top_k"), whole(0, 10**6)),
        **dict.fromkeys(("temperature", "top_p", "min_p", "repetition_penalty"), _ANY),
        "seed": maybe(whole(0, SEED_MAX)),
        "stop": several(text(STOP_STRING_LENGTH), STOP_STRINGS_MAX),
    },
)
_COMPARISON = record(
    Comparison,
    {
        "questions": several(_LONG, 1_000),
        "columns": several(_COLUMN, MOST_COLUMNS),
        "created": text(40),
        **dict.fromkeys(("system", "text"), _LONG),
        "sampling": _SAMPLING,
        "reference": _NAME,
        "versions": plain,
        "machine": plain,
    },
)


def to_json(comparison: Comparison) -> str:
    """The comparison as one line of JSON.

    Where thousands of tokens with their alternatives would make it longer than `from_json` reads, they are left out.
    """
    whole_text = _dumped(comparison)
    if len(whole_text.encode()) <= LONGEST_FILE:
        return whole_text
    return _dumped(replace(comparison, columns=tuple(replace(column, tokens=()) for column in comparison.columns)))


def _dumped(comparison: Comparison) -> str:
    data = {"format": FORMAT, "version": VERSION, **asdict(replace(comparison, columns=()))}
    data["columns"] = [_column(column) for column in comparison.columns]
    return json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _column(column: Compared) -> dict[str, Any]:
    tokens = [(token.text, token.probability, token.alternatives) for token in column.tokens]
    return asdict(replace(column, tokens=())) | {"tokens": tokens}


def from_json(text: str) -> Comparison:
    """The comparison that `to_json` wrote; raises BadComparison for anything else, whatever a program made of it."""
    try:
        comparison: Comparison = _COMPARISON(body(parse(text, LONGEST_FILE), FORMAT, VERSION), "")
    except BadComparison:
        raise
    except Unfit as error:
        raise BadComparison(reason=str(error)) from None
    except PaddockError as error:  # a spelling or a sampling value that cannot be
        raise BadComparison(reason=error.message.removesuffix(".")) from None
    return comparison
