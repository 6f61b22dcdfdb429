"""Log-probabilities of a text on disk, so that a model can be compared with one that is no longer in memory.

An engine that tells all of them records a matrix; one that tells the likeliest tokens of each place records those.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..domain.errors import DiskFull, ReferenceDiffers
from ..domain.units import size

_ROWS = 16  # positions compared at once: each is a row of the vocabulary in float64


def ids_file(path: Path) -> Path:
    """Where the tokens of a record stand."""
    return path.with_name(f"{path.name}.tokens.json")


class Record:
    """Writes float32 rows to a .npy file, which is there under its name once `finish` was called, or not at all."""

    def __init__(self, path: str, ids: Sequence[int]) -> None:
        self._path, self._ids = Path(path), list(ids)
        self._partial = self._path.with_name(f".{self._path.name}.partial-{os.getpid()}")
        self._rows: Any = None

    def close(self) -> None:
        """Drop what was not finished."""
        self._rows = None
        self._partial.unlink(missing_ok=True)

    def write(self, start: int, log_probs: Any) -> None:
        """Keep the rows of positions from `start` on."""
        if self._rows is None:
            self._open(log_probs.shape[-1])
        self._rows[start : start + len(log_probs)] = log_probs.numpy()

    def finish(self) -> None:
        self._rows.flush()
        self._rows = None
        ids_file(self._path).write_text(json.dumps(self._ids), encoding="utf-8")
        os.replace(self._partial, self._path)

    def _open(self, vocabulary: int) -> None:
        from numpy.lib.format import open_memmap

        shape = (len(self._ids) - 1, vocabulary)
        needed, free = 4 * shape[0] * shape[1] + 4096, shutil.disk_usage(self._path.parent).free
        try:
            if needed > free:  # a write to a mapped page without room for it would kill this process
                raise OSError(errno.ENOSPC, "no room")
            self._rows = open_memmap(self._partial, mode="w+", dtype="float32", shape=shape)
            with self._partial.open("r+b") as file:
                if hasattr(os, "posix_fallocate"):
                    os.posix_fallocate(file.fileno(), 0, self._partial.stat().st_size)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            facts = {"file": self._path.name, "needed": size(needed), "free": size(free)}
            raise DiskFull(**facts, folder=self._path.parent.name) from error


def record_likeliest(path: str, ids: Sequence[int], tokens: Any, log_probs: Any) -> None:
    """Write what an engine tells of each position: so many tokens, the likeliest first, and their log-probabilities."""
    import numpy

    with Path(path).open("wb") as file:
        numpy.savez(file, tokens=numpy.asarray(tokens, "int32"), log_probs=numpy.asarray(log_probs, "float32"))
    ids_file(Path(path)).write_text(json.dumps(list(ids)), encoding="utf-8")


def divergence_at_least(reference: Any, other: Any) -> float:
    """A lower bound of KL(reference, other) in nats, from both log-probabilities of some tokens S of the vocabulary.

    It is P(S) times KL of the two distributions over S alone: sum over S of p ln(p/q), + P(S) ln(Q(S)/P(S)). By the
    chain rule the whole divergence is that, plus the divergence of the chances of S, plus that of the other tokens;
    neither is below 0. A factor common to all of q falls out, such as the rounding of llama.cpp's normalisation.
    """
    import numpy

    p, q = (numpy.asarray(side, "float64") for side in (reference, other))
    possible = numpy.isfinite(p)  # 0 times minus infinity is not a number
    p_all, q_all = numpy.exp(p).sum(), numpy.exp(q).sum()
    if not p_all:
        return 0.0
    p_some, q_some = p[possible], q[possible]
    return max(0.0, float((numpy.exp(p_some) * (p_some - q_some)).sum() + p_all * numpy.log(q_all / p_all)))


class Reference:
    """A record of the same tokens; raises ReferenceDiffers when it is not one."""

    def __init__(self, path: str, ids: Sequence[int]) -> None:
        import numpy

        self._tokens: Any = None  # of each row, where it does not have the whole vocabulary
        try:
            stored = json.loads(ids_file(Path(path)).read_text(encoding="utf-8"))
            self._rows = numpy.load(path, mmap_mode="r", allow_pickle=False)
            if not isinstance(self._rows, numpy.ndarray):
                self._tokens, self._rows = self._rows["tokens"], self._rows["log_probs"]
        except (OSError, ValueError, KeyError) as error:
            raise ReferenceDiffers(reason="it cannot be read") from error
        if stored != list(ids):
            raise ReferenceDiffers(reason="it was made from other tokens")
        if self._rows.ndim != 2 or len(self._rows) != len(stored) - 1:
            raise ReferenceDiffers(reason="it is incomplete")

    @property
    def is_whole(self) -> bool:
        """Whether it has the whole vocabulary; without it, divergences are lower bounds."""
        return self._tokens is None

    def compare(self, start: int, log_probs: Any, likeliest: Any) -> tuple[list[bool], list[float]]:
        """Whether both find the same token likeliest, and KL(reference, this) in nats, for each row of a tensor."""
        import torch

        if self._tokens is not None:
            known = torch.from_numpy(self._tokens[start : start + len(log_probs)]).long()
            _require_within(int(known.max()), log_probs.shape[-1])
            rows = zip(self._rows[start : start + len(log_probs)], log_probs.gather(1, known).numpy(), strict=True)
            return (known[:, 0] == likeliest).tolist(), [divergence_at_least(*pair) for pair in rows]
        ours, theirs = log_probs.shape[-1], self._rows.shape[-1]
        if ours != theirs:
            raise ReferenceDiffers(reason=f"its vocabulary has {theirs:,} tokens, and this model's has {ours:,}")
        agrees: list[bool] = []
        divergences: list[float] = []
        for first in range(0, len(log_probs), _ROWS):
            mine = log_probs[first : first + _ROWS]
            place = start + first
            wanted = torch.from_numpy(self._rows[place : place + len(mine)].copy())
            agrees += (wanted.argmax(dim=-1) == likeliest[first : first + _ROWS]).tolist()
            chances = wanted.double().exp()
            # A token that the reference finds impossible counts nothing: 0 times minus infinity is not a number.
            terms = torch.where(chances > 0, chances * (wanted.double() - mine.double()), 0.0)
            divergences += terms.sum(dim=-1).clamp(min=0.0).tolist()
        return agrees, divergences

    def compare_some(self, place: int, tokens: Sequence[int], log_probs: Sequence[float]) -> tuple[bool, float]:
        """The same for one row that has these tokens only, the likeliest first; the divergence is a lower bound."""
        import numpy

        row = self._rows[place]
        if self._tokens is None:
            _require_within(max(tokens), len(row))
            return tokens[0] == row.argmax(), divergence_at_least(row[list(tokens)], log_probs)
        known = self._tokens[place]
        _, ours, theirs = numpy.intersect1d(tokens, known, return_indices=True)
        return tokens[0] == known[0], divergence_at_least(row[theirs], numpy.asarray(log_probs)[ours])


def _require_within(token: int, vocabulary: int) -> None:
    if token >= vocabulary:
        raise ReferenceDiffers(reason=f"one vocabulary has {vocabulary:,} tokens, and the other has token {token:,}")
