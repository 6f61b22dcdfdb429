"""Documents as token ids: held-out ones set apart by their content, written once, read through a map of the file."""

from __future__ import annotations

import hashlib
import json
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from ..domain.pretraining import TokenCounts
from ..system.durable import put, write_text
from ..system.files import read_json

TRAIN, HELD_OUT, FACTS = "train", "held_out", "rows.json"
_AT_ONCE = 1000  # documents that are encoded at once
_BUCKET = 32  # batches among which rows of like length are put together
Encode = Callable[[Sequence[str]], list[list[int]]]


@dataclass(frozen=True)
class Scan:
    """What one look at all documents finds; `limit`: a document whose mark is below it is held out."""

    documents: int
    sha256: str
    limit: int
    distinct: bool


def mark(text: str) -> int:
    """A number from 0 to 2**64 by a text alone, whatever stands around it."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


def scan(texts: Iterable[str], held_out: float) -> Scan:
    """Count the documents and decide which are held out: about a share of them, at least one, never all."""
    digest, count, low, high = hashlib.sha256(), 0, 1 << 64, 0
    for text in texts:
        digest.update(len(data := text.encode()).to_bytes(8, "big") + data)
        place = mark(text)
        low, high, count = min(low, place), max(high, place), count + 1
    limit = min(max(int(held_out * 2**64), low + 1), high)
    return Scan(count, digest.hexdigest(), limit, low < high)


class Rows:
    """Rows of one split; a row is the ids of a document with the end token, and the start token where there is one."""

    def __init__(self, folder: Path, split: str) -> None:
        self.ends = np.fromfile(folder / f"{split}.ends", np.uint64)
        dtype = np.dtype(read_json(folder / FACTS)["dtype"])
        self._ids = np.memmap(folder / f"{split}.ids", dtype, "r")

    def __len__(self) -> int:
        return len(self.ends)

    def __getitem__(self, number: int) -> np.ndarray[Any, Any]:
        start = int(self.ends[number - 1]) if number else 0
        return self._ids[start : int(self.ends[number])]

    @property
    def lengths(self) -> np.ndarray[Any, Any]:
        return np.diff(self.ends, prepend=np.uint64(0)).astype(np.int64)

    def longest(self, most: int) -> list[int]:
        """Lengths of at most so many rows, the longest first."""
        return np.sort(self.lengths)[::-1][:most].tolist()

    def batches(self, size: int, seed: int, epoch: int) -> Iterator[np.ndarray[Any, Any]]:
        """Numbers of rows, each once, in an order that the seed and the epoch decide; the last batch may be small.

        Rows of like length come together, which saves a third of the padding.
        """
        dice, lengths = np.random.default_rng((seed, epoch)), self.lengths
        order = dice.permutation(len(self))
        for start in range(0, len(order), size * _BUCKET):
            near = order[start : start + size * _BUCKET]
            near = near[np.argsort(lengths[near], kind="stable")]
            parts = np.split(near, range(size, len(near), size))
            yield from (parts[number] for number in dice.permutation(len(parts)))


def write_rows(
    texts: Iterable[str], scanned: Scan, encode: Encode, end: int, vocabulary: int, longest: int, folder: Path
) -> TokenCounts:
    """Write both splits and, last, what they hold; `longest` is of a row with its end token."""
    kind = np.dtype(np.uint16 if vocabulary <= 1 << 16 else np.uint32)
    ends = {TRAIN: array("Q"), HELD_OUT: array("Q")}
    written, left_out, digest = dict.fromkeys(ends, 0), 0, hashlib.sha256()
    with ExitStack() as stack:
        files = {split: stack.enter_context((folder / f".{split}.ids.part").open("wb")) for split in ends}
        documents = iter(texts)
        while group := list(islice(documents, _AT_ONCE)):
            for text, ids in zip(group, encode(group), strict=True):
                if len(ids) + 1 > longest:
                    left_out += 1
                    continue
                split = HELD_OUT if mark(text) < scanned.limit else TRAIN
                data = np.array([*ids, end], kind).tobytes()
                files[split].write(data)
                digest.update(data)
                written[split] += len(ids) + 1
                ends[split].append(written[split])
    for split, places in ends.items():
        put(folder / f".{split}.ids.part", folder / f"{split}.ids")
        (folder / f"{split}.ends").write_bytes(places.tobytes())
    counts = TokenCounts(len(ends[TRAIN]), len(ends[HELD_OUT]), written[TRAIN], written[HELD_OUT], left_out, vocabulary)
    facts = {"dtype": kind.name, "counts": asdict(counts), "sha256": digest.hexdigest()}
    write_text(folder / FACTS, json.dumps(facts))
    return counts
