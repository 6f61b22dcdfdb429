"""From data, by name or path, to rows of token ids in the folder of a run; what is whole there is not made again."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ..compute.background import Cancelled, OnProgress
from ..domain.errors import BadDocuments, BadRunFolder, HubUnreachable, PretrainingStopped
from ..domain.messages import Progress
from ..domain.pretraining import BPE, DOCUMENTS, STORIES, TINY_STORIES, PretrainingSettings, TokenCounts
from ..domain.variant import Variant
from ..runtime import Runtime
from ..system.durable import put, write_text
from ..system.files import file_state, read_json
from ..weights.fetch_errors import require_space
from ..weights.hub.datasets import data_file
from .documents import documents, files_of, refused
from .stories import stories
from .token_rows import FACTS, Scan, mark, scan, write_rows
from .tokenizing import Tokens, copy_tokenizer, learn_bpe

TINY_STORIES_REPO, TINY_STORIES_FILE = "roneneldan/TinyStories", "TinyStoriesV2-GPT4-train.txt"
_SCAN = "documents.json"
_PACE = 500  # documents between two reports


@dataclass(frozen=True)
class Corpus:
    """What lies in the folder of a run."""

    counts: TokenCounts
    sha256: str  # of the documents
    tokens_sha256: str


def prepare(
    runtime: Runtime,
    settings: PretrainingSettings,
    data: str,
    run: Path,
    on_progress: OnProgress,
    cancelled: Cancelled,
) -> Corpus:
    """Read the documents, hold some out, make the tokenizer, write the rows.

    Raises BadDocuments, BadRunFolder where the documents are others than before, DiskFull, and what fetching raises.
    """

    def watched(texts: Iterable[str], doing: str) -> Iterator[str]:
        for number, text in enumerate(texts):
            if number % _PACE == 0:
                if cancelled():
                    raise PretrainingStopped(step=0, steps=0)
                on_progress(Progress("read", number, 0, "", f"{doing}: {number:,} documents"))
            yield text

    files = _files(runtime, settings, data, run, watched)
    most = settings.documents or DOCUMENTS.get(data, 0)

    def texts(doing: str) -> Iterator[str]:
        return watched(documents(files, most), doing)

    states = {str(path): file_state(path) for path in files}
    known = read_json(run / _SCAN)
    if known.get("states") == states:
        found = Scan(**known["scan"])
    else:
        found = scan(texts("reading"), settings.held_out)
        _require_enough(found, data)
        if known and known["scan"]["sha256"] != found.sha256:
            raise BadRunFolder(
                folder=run.parent.name,
                reason=f"it holds an unfinished run on other documents than {Path(data).name} has now",
                suggestion="Give the same data again, or name another folder with --out.",
            )
        write_text(run / _SCAN, json.dumps({"states": states, "scan": vars(found)}))
    facts = read_json(run / FACTS)
    if not facts:
        require_space(sum(path.stat().st_size for path in files), "the token ids", run)
        _make_tokenizer(runtime, settings, lambda: texts("learning tokens"), found, run, on_progress)
        tokens = Tokens(run)
        on_progress(Progress("read", detail="writing token ids"))
        counts = write_rows(
            texts("writing token ids"), found, tokens.encode, tokens.end, tokens.size, settings.max_tokens, run
        )
        _require_rows(counts, settings, data, run)
        facts = read_json(run / FACTS)
    return Corpus(TokenCounts(**facts["counts"]), found.sha256, facts["sha256"])


def _files(
    runtime: Runtime,
    settings: PretrainingSettings,
    data: str,
    run: Path,
    watched: Callable[[Iterable[str], str], Iterator[str]],
) -> list[Path]:
    if data == TINY_STORIES:
        try:
            return [data_file(TINY_STORIES_REPO, TINY_STORIES_FILE, runtime.settings)]
        except HubUnreachable:
            suggestion = "Leave --data out to train on our own stories, or try again when the network is back."
            raise BadDocuments(file="TinyStories", reason="the Hub cannot be reached", suggestion=suggestion) from None
    if data != STORIES:
        return files_of(Path(data).expanduser())
    written = run / "stories.jsonl"
    if not written.is_file():
        part = written.with_name(f".{written.name}.part")
        count = settings.documents or DOCUMENTS[STORIES]
        with part.open("w", encoding="utf-8") as file:
            for story in watched(stories(count, settings.seed), "writing stories"):
                file.write(json.dumps(story) + "\n")
        put(part, written)
    return [written]


def _make_tokenizer(
    runtime: Runtime,
    settings: PretrainingSettings,
    texts: Callable[[], Iterator[str]],
    found: Scan,
    run: Path,
    on_progress: OnProgress,
) -> None:
    if settings.tokenizer == BPE:
        seen = (text for text in texts() if mark(text) >= found.limit)
        learn_bpe(seen, settings.vocabulary, settings.max_tokens, run)
        return
    model = Variant(settings.tokenizer, "fp32")
    variant, _ = runtime.resolve(model, runtime.card(model))
    copy_tokenizer(Path(runtime.fetch(variant, on_progress).path), run, settings.tokenizer)


def _require_enough(found: Scan, data: str) -> None:
    name = Path(data)
    more = "Give at least two documents: one to learn from, one to be held out."
    if not found.documents:
        raise refused(name, "it is empty", more)
    if not found.distinct:
        reason = "it has one document" if found.documents == 1 else "all of its documents are the same"
        raise refused(name, reason, more)


def _require_rows(counts: TokenCounts, settings: PretrainingSettings, data: str, run: Path) -> None:
    if counts.documents and counts.held_out:
        return
    (run / FACTS).unlink()
    raise BadDocuments(
        file=Path(data).name,
        reason=f"all {'other' if counts.held_out else 'held-out' if counts.documents else 'its'} documents"
        f" are longer than {settings.max_tokens:,} tokens",
        suggestion="Give larger --max-tokens, or shorter documents.",
    )
