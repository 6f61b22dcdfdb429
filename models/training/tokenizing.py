"""The tokenizer that a model is pretrained with: BPE learned from the documents, or that of another model."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from ..domain.errors import BadDocuments
from ..system.durable import write_text
from ..weights.verify.file_names import CONFIG, SETTINGS_FILES, TOKENIZER_SETTINGS
from .documents import END
from .token_rows import Encode

TOKENIZER = "tokenizer.json"
LEARNED_FROM = 50_000_000  # characters that BPE looks at
_LEAST = 257  # the bytes and the end token


def learn_bpe(texts: Iterable[str], vocabulary: int, context: int, folder: Path) -> None:
    """Write a byte-level BPE of at most `vocabulary` tokens, the first of which ends a document.

    It splits as GPT-2's, which llama.cpp knows by name.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    assert vocabulary >= _LEAST
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[END],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_first(texts), trainer)
    tokenizer.save(str(folder / TOKENIZER))
    said = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": END,
        "clean_up_tokenization_spaces": False,
        "model_max_length": context,
    }
    write_text(folder / TOKENIZER_SETTINGS, json.dumps(said, indent=2) + "\n")


def copy_tokenizer(source: Path, folder: Path, name: str) -> None:
    """Write the tokenizer of a model's folder, without its chat template: what is trained here only continues texts."""
    if not (source / TOKENIZER).is_file():
        raise BadDocuments(file=name, reason="it has no tokenizer.json", suggestion="Pick another --tokenizer.")
    for file in SETTINGS_FILES - {CONFIG, "generation_config.json"}:
        if (source / file).is_file() and not file.startswith("chat_template"):
            shutil.copyfile(source / file, folder / file)
    said = json.loads((folder / TOKENIZER_SETTINGS).read_text(encoding="utf-8"))
    said.pop("chat_template", None)
    write_text(folder / TOKENIZER_SETTINGS, json.dumps(said, indent=2) + "\n")


class Tokens:
    """The tokenizer of a folder as transformers loads it: for some models it takes other splits than the file has."""

    def __init__(self, folder: Path) -> None:
        os.environ["TOKENIZERS_PARALLELISM"] = "true"  # nothing forks here
        from transformers import AutoTokenizer

        from ..engines.transformers.tokens import starts_texts

        loaded: Any = AutoTokenizer.from_pretrained(str(folder), trust_remote_code=False, local_files_only=True)
        self._inner = loaded.backend_tokenizer
        self.end: int = loaded.eos_token_id
        # Engines put it before what a model is asked to continue, so that it has to be learned there, too.
        self.start: int | None = loaded.bos_token_id if starts_texts(loaded) else None
        self.size: int = len(loaded)

    @property
    def encode(self) -> Encode:
        """A function from texts to ids, in which what looks like a special token is plain text.

        The start token comes first where the tokenizer puts it before a text; nothing comes after it.
        """
        inner, start = self._inner, [] if self.start is None else [self.start]
        inner.encode_special_tokens = True
        inner.no_truncation()
        encode = partial(inner.encode_batch_fast, add_special_tokens=False)
        return lambda texts: [[*start, *one.ids] for one in encode(list(texts))]

    def decode(self, ids: list[int]) -> str:
        return str(self._inner.decode(ids))


def _first(texts: Iterable[str]) -> Iterator[str]:
    left = LEARNED_FROM
    for text in texts:
        yield text
        left -= len(text)
        if left <= 0:
            return
