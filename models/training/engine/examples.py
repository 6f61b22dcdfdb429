"""Rows -> tokens to learn from.

Of a conversation that is the text that the engine would give to the model, only answers labelled; a plain text is
learned from its first token to the token that ends it, in pieces of at most `max_tokens`.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

from ...domain.engine import Prompt
from ...domain.errors import NotTrainable
from ...domain.load import Snapshot
from ...domain.messages import Message, Progress
from ...domain.request import BasePrompt
from ...domain.training import RowCounts, TrainingSettings
from ...domain.training_data import Row, Text
from ...engines.chat_template import template_of
from ...engines.transformers.engine_thread import computed
from ...engines.transformers.loader import end_ids
from ...engines.transformers.tokens import tokenize
from ...system.files import read_json
from .answer_labels import UNLABELLED, Example, Labeller, Unlearnable, Write

# Before a template's text, it has the conversation end with its last message; a block takes the line's end with it.
_NO_NEXT_ANSWER = "{% set add_generation_prompt = false %}\n"


@dataclass(frozen=True)
class Examples:
    """What is learned from and what is only looked at, of the rows `apart`; several may be of one row."""

    train: tuple[Example, ...]
    held_out: tuple[Example, ...]
    counts: RowCounts
    apart: tuple[int, ...] = ()

    @property
    def longest(self) -> int:
        """Tokens of the longest."""
        return max(len(example.ids) for example in (*self.train, *self.held_out))

    @property
    def sha256(self) -> str:
        """Of all tokens and labels."""
        digest = hashlib.sha256()
        for side in (self.train, self.held_out):
            for example in side:
                digest.update(repr(example).encode())
            digest.update(b"held out")
        return digest.hexdigest()


@dataclass(frozen=True)
class Span:
    """A part of an example as text, and whether the model learns to write it."""

    text: str
    learned: bool


def read_examples(
    snapshot: Snapshot,
    rows: Sequence[Row],
    base: bool,
    settings: TrainingSettings,
    threads: int,
    on_progress: Callable[[Progress], None],
) -> Examples:
    """Tokenize the rows and hold some out, from any thread; a `base` model gets the prompt that the Chat tab gives it.

    Raises NotTrainable, TemplateFailed.
    """

    def read() -> Examples:
        return split(_labelled(snapshot, _tokenizer(snapshot), rows, base, settings, on_progress), settings)

    return computed(read, threads, during="while reading the rows")


def look(
    snapshot: Snapshot, rows: Sequence[Row], base: bool, settings: TrainingSettings, threads: int
) -> list[list[Span]]:
    """What the model will see of each of a few rows, in one list of spans each; raises NotTrainable, TemplateFailed."""

    def read() -> list[list[Span]]:
        tokenizer = _tokenizer(snapshot)
        found = _labelled(snapshot, tokenizer, rows, base, settings, lambda progress: None)
        return [
            [span for example in row for span in spans(example.cut(settings.max_tokens), tokenizer)] for row in found
        ]

    return computed(read, threads, during="while reading the rows")


def spans(example: Example, tokenizer: Any) -> list[Span]:
    """An example as text, apart where what is learned begins and ends; its first token is predicted from nothing."""
    learned = [False, *(label != UNLABELLED for label in example.labels[1:])]
    return [
        Span(tokenizer.decode([token for token, _ in run], clean_up_tokenization_spaces=False), is_learned)
        for is_learned, run in groupby(zip(example.ids, learned, strict=True), key=itemgetter(1))
    ]


def _tokenizer(snapshot: Snapshot) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(snapshot.path, trust_remote_code=False, local_files_only=True)


def _labelled(
    snapshot: Snapshot,
    tokenizer: Any,
    rows: Sequence[Row],
    base: bool,
    settings: TrainingSettings,
    on_progress: Callable[[Progress], None],
) -> list[list[Example]]:
    """The examples of each row."""
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(snapshot.path, trust_remote_code=False, local_files_only=True)
    stated = read_json(Path(snapshot.path, "generation_config.json")).get("eos_token_id")
    # Those that the engine takes for the end of an answer, the tokenizer's first.
    ends = end_ids(tokenizer.eos_token_id, stated, getattr(config, "eos_token_id", None))
    model, number, found = Path(snapshot.path).name, 0, []
    try:
        label = _label(snapshot, tokenizer, ends, base, settings, texts=isinstance(rows[0], Text))
        for number, row in enumerate(rows, 1):  # a template that is not trusted takes half a second an answer
            found.append(label(row))
            on_progress(Progress("train", number, len(rows), detail="reading the rows"))
    except Unlearnable as error:
        reason = f"{error.reason}, as in row {number}" if number else error.reason
        raise NotTrainable(model=model, reason=reason, suggestion=error.suggestion) from None
    return found


def _label(
    snapshot: Snapshot, tokenizer: Any, ends: Sequence[int], base: bool, settings: TrainingSettings, texts: bool
) -> Callable[[Any], list[Example]]:
    """How a row becomes examples."""
    if texts:
        return partial(_text_examples, tokenizer, ends, settings.max_tokens)
    write = _write_base if base else _template_of(tokenizer, snapshot, Path(snapshot.path).name)
    return Labeller.of(tokenizer, write, not base, ends).examples


def _text_examples(tokenizer: Any, ends: Sequence[int], most: int, row: Text) -> list[Example]:
    """A document's tokens, all of them learned, and the token that ends it; a longer one is several examples."""
    if not ends:
        raise Unlearnable("no token ends its texts")
    ids = tokenize(tokenizer, Prompt(row.content))
    ids += [] if ids[-1] in ends else [ends[0]]
    pieces = (tuple(ids[at : at + most]) for at in range(0, len(ids), most))
    return [Example(piece, piece) for piece in pieces if len(piece) > 1]


def _write_base(messages: Sequence[Message], asked: bool) -> str:
    prompt = BasePrompt()
    text = prompt.write(messages)
    return text if asked else text.removesuffix(f"\n{prompt.answer}")


def _template_of(tokenizer: Any, snapshot: Snapshot, model: str) -> Write:
    asking = template_of(tokenizer, snapshot.path, snapshot.trusted)
    if not asking.source:
        reason = f"it is no base model, and {asking.lack}"
        raise NotTrainable(model=model, reason=reason, suggestion="Pick another base.")
    telling = replace(asking, source=_NO_NEXT_ANSWER + asking.source)
    return lambda messages, asked: (asking if asked else telling).write(messages).text


def split(rows: Sequence[Sequence[Example]], settings: TrainingSettings) -> Examples:
    """Cut what is too long, leave out rows without an answer, and hold out a share of the rest; raises NotTrainable."""
    limit = settings.max_tokens
    numbers = [number for number, row in enumerate(rows) if any(example.reaches(limit) for example in row)]
    reached = [rows[number] for number in numbers]
    used = [[example.cut(limit) for example in row if example.reaches(limit)] for row in reached]
    if len(used) < 2:
        reason = f"{len(used)} of {len(rows):,} rows have an answer within {limit:,} tokens"
        raise NotTrainable(model="The base", reason=reason, suggestion="Give a larger --max-tokens, or shorter rows.")
    order = list(range(len(used)))
    random.Random(settings.seed).shuffle(order)
    held = min(max(1, round(settings.held_out * len(used))), len(used) - 1)
    apart = set(order[:held])
    cut = sum(any(len(example.ids) > limit for example in row) for row in reached)
    return Examples(
        tuple(example for number, row in enumerate(used) if number not in apart for example in row),
        tuple(example for number, row in enumerate(used) if number in apart for example in row),
        RowCounts(len(used) - held, held, cut, len(rows) - len(used)),
        tuple(numbers[place] for place in sorted(apart)),
    )
