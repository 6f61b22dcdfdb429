"""Conversations -> tokens to learn from: the text that the engine would give to the model, only answers labelled."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..spec.errors import NotTrainable
from ..spec.messages import Message, Progress
from ..spec.request import BasePrompt
from ..spec.snapshot import Snapshot
from ..spec.training import RowCounts, TrainingSettings
from .chat_template import template_of
from .engine_thread import engine_thread, prepare_torch
from .faults import translated

UNLABELLED = -100  # what torch's cross_entropy leaves out
Write = Callable[[Sequence[Message]], str]


@dataclass(frozen=True)
class Example:
    """The tokens of one row; `labels` are the same where the model learns them, else UNLABELLED."""

    ids: tuple[int, ...]
    labels: tuple[int, ...]


@dataclass(frozen=True)
class Examples:
    """The rows to learn from and those that are only looked at."""

    train: tuple[Example, ...]
    held_out: tuple[Example, ...]
    counts: RowCounts

    @property
    def longest(self) -> int:
        """Tokens of the longest row."""
        return max(len(example.ids) for example in (*self.train, *self.held_out))


def read_examples(
    snapshot: Snapshot,
    rows: Sequence[Sequence[Message]],
    base: bool,
    settings: TrainingSettings,
    threads: int,
    on_progress: Callable[[Progress], None],
) -> Examples:
    """Tokenize the rows and hold some out, from any thread; a `base` model gets the prompt that the Chat tab gives it.

    Raises NotTrainable, TemplateFailed.
    """

    def work() -> Examples:
        prepare_torch(threads)
        with translated(during="while reading the rows"):
            encoder = _encoder(snapshot, base)
            examples = []
            for number, row in enumerate(rows, 1):  # a template that is not trusted takes half a second a row
                examples.append(encoder(row, number))
                on_progress(Progress("train", number, len(rows), detail="reading the rows"))
            return split(examples, settings)

    return engine_thread().run(work)


def _encoder(snapshot: Snapshot, base: bool) -> Callable[[Sequence[Message], int], Example]:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(snapshot.path, trust_remote_code=False, local_files_only=True)
    model = Path(snapshot.path).name
    if not tokenizer.is_fast:
        raise _not_trainable(model, "its tokenizer does not say which token stands for which characters")
    write = BasePrompt().write if base else _template_of(tokenizer, snapshot, model)
    ends = [text for text in tokenizer.convert_ids_to_tokens(_end_ids(snapshot.path, tokenizer)) if text]

    def encode(row: Sequence[Message], number: int) -> Example:
        marked = mark_answers(row, write, ends, tokenizer.eos_token or "")
        if isinstance(marked, str):
            raise _not_trainable(model, f"its chat template {marked}, as in row {number}")
        text, spans = marked
        encoded = tokenizer(text, add_special_tokens=base, return_offsets_mapping=True, verbose=False)
        return label(encoded["input_ids"], encoded["offset_mapping"], spans)

    return encode


def _not_trainable(model: str, reason: str) -> NotTrainable:
    return NotTrainable(model=model, reason=reason, suggestion="Pick another base, or give rows of one question each.")


def _template_of(tokenizer: Any, snapshot: Snapshot, model: str) -> Write:
    template = template_of(tokenizer, snapshot.path, snapshot.trusted)
    if not template.source:
        raise _not_trainable(model, f"it is no base model, and {template.lack}")
    return lambda messages: template.write(messages).text


def _end_ids(folder: str, tokenizer: Any) -> list[int]:
    """The tokens that the engine takes for the end of an answer, read without the weights."""
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    generation = Path(folder) / "generation_config.json"
    stated = json.loads(generation.read_text(encoding="utf-8")) if generation.is_file() else {}
    found: list[int] = []
    for ids in (stated.get("eos_token_id"), config.eos_token_id, tokenizer.eos_token_id):
        found += ids if isinstance(ids, list | tuple) else [] if ids is None else [ids]
    return list(dict.fromkeys(found))


def mark_answers(
    row: Sequence[Message], write: Write, ends: Sequence[str], end: str
) -> tuple[str, list[tuple[int, int]]] | str:
    """The row as text up to its last answer, and from where to where each answer goes with the token that ends it.

    An answer starts where the engine's prompt for it stops. `ends` are the texts of tokens that end one; where the
    template writes none of them, `end` is put in. Returns what is wrong with the template if it cannot be done.
    """
    answers = [number for number, message in enumerate(row) if message.role == "assistant"]
    whole = write(row[: answers[-1] + 1])
    text, spans, taken = "", [], 0
    for number in answers:
        prompt, content = write(row[:number]), row[number].content.strip()
        if not whole.startswith(prompt):
            return "writes the beginning of a conversation in another way once it goes on"
        start = len(prompt)
        found = whole.find(content, start)
        if found < 0:
            return "changes the text of answers"
        stop = found + len(content)
        after = len(whole) - len(whole[stop:].lstrip())  # some templates write a space before the end
        mark = next((mark for mark in ends if whole.startswith(mark, after)), "")
        text += whole[taken:start]
        taken = after + len(mark) if mark else stop
        spans.append((len(text), len(text) + taken - start + (0 if mark else len(end))))
        text += whole[start:taken] + ("" if mark else end)
    return text, spans


def label(ids: Sequence[int], offsets: Sequence[tuple[int, int]], spans: Sequence[tuple[int, int]]) -> Example:
    """Label the tokens whose characters are an answer's; a token that is partly the prompt's is not.

    Byte-level tokenizers may count a token of blanks as no characters at the place where it ends.
    """
    labels = tuple(
        token if any(first <= start and first < stop <= last for first, last in spans) else UNLABELLED
        for token, (start, stop) in zip(ids, offsets, strict=True)
    )
    return Example(tuple(ids), labels)


def split(examples: Sequence[Example], settings: TrainingSettings) -> Examples:
    """Cut what is too long, leave out rows without an answer, and hold out a share of the rest; raises NotTrainable."""
    limit = settings.max_tokens
    # The first token is predicted from nothing, so a label there teaches nothing.
    long = [example for example in examples if any(token != UNLABELLED for token in example.labels[1:limit])]
    used = [Example(example.ids[:limit], example.labels[:limit]) for example in long]
    if len(used) < 2:
        reason = f"{len(used)} of {len(examples):,} rows have an answer within {limit:,} tokens"
        raise NotTrainable(model="The base", reason=reason, suggestion="Give a larger --max-tokens, or shorter rows.")
    order = list(range(len(used)))
    random.Random(settings.seed).shuffle(order)
    held = min(max(1, round(settings.held_out * len(used))), len(used) - 1)
    apart = set(order[:held])
    cut = sum(len(example.ids) > limit for example in long)
    return Examples(
        tuple(example for number, example in enumerate(used) if number not in apart),
        tuple(example for number, example in enumerate(used) if number in apart),
        RowCounts(len(used) - held, held, cut, len(examples) - len(used)),
    )
