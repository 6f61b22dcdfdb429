"""How far the parts of a large download have come, kept beside them so that a killed one goes on from there."""

from __future__ import annotations

import json
import os
import threading
from dataclasses import dataclass, field
from pathlib import Path

from ..system.files import read_json

PART = 64_000_000  # bytes that one request asks for
KEPT = 8_000_000  # bytes between two notes of how far a part is


@dataclass
class Download:
    """One file: `done` has, by the byte that each part begins at, how many of its bytes are there."""

    name: str  # here
    path: str  # there
    folder: Path
    size: int
    version: str  # what tells its content from another one of the same name, as the server says
    done: dict[int, int] = field(default_factory=dict)
    complete: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def begin(cls, name: str, path: str, folder: Path, size: int, version: str) -> Download:
        """The download, with what is here of the same content already."""
        found = cls(name, path, folder, size, version)
        noted = read_json(found.notes)
        same = [noted.get(name) for name in ("size", "version", "part")] == [size, version, PART]
        if same and found.part.is_file() and isinstance(noted.get("done"), dict):
            found.done = {int(at): int(count) for at, count in noted["done"].items()}
        else:
            found.discard()
        return found

    @property
    def final(self) -> Path:
        """Where the file lies once it is whole and verified."""
        return self.folder / self.name

    @property
    def part(self) -> Path:
        """Where its bytes are until then."""
        return self.folder / f".{self.name}.part"

    @property
    def notes(self) -> Path:
        """What is noted beside it."""
        return notes_of(self.final)

    @property
    def notes_part(self) -> Path:
        """Where they are written; of one name, so that a killed call leaves one at most."""
        return self.notes.with_name(f"{self.notes.name}.part")

    @property
    def arrived(self) -> int:
        """Bytes that are there."""
        return sum(self.done.values())

    def left(self) -> list[tuple[int, int]]:
        """The parts that are not whole: where each begins, and how many bytes it has when it is."""
        parts = ((at, min(PART, self.size - at)) for at in range(0, self.size, PART))
        return [(at, length) for at, length in parts if self.done.get(at, 0) < length]

    def came(self, at: int, count: int, keep: bool) -> None:
        """Bytes of a part were written."""
        with self.lock:
            self.done[at] = count
            if keep:
                noted = {str(at): count for at, count in self.done.items()}
                facts = {"size": self.size, "version": self.version, "part": PART, "done": noted}
                self.notes_part.write_text(json.dumps(facts), encoding="utf-8")
                os.replace(self.notes_part, self.notes)

    def is_complete_now(self) -> bool:
        """Whether all bytes are here; true for the first who asks only."""
        with self.lock:
            first, self.complete = not self.left() and not self.complete, not self.left()
            return first

    def discard(self) -> None:
        """Forget what is here."""
        self.done = {}
        self.part.unlink(missing_ok=True)
        self.forget_notes()

    def forget_notes(self) -> None:
        """Drop what is noted, of a call that was killed too."""
        forget_notes(self.final)


def notes_of(final: Path) -> Path:
    """Where is noted how much of a file has arrived."""
    return final.with_name(f".{final.name}.json")


def forget_notes(final: Path) -> None:
    """Drop what is noted of a file."""
    notes = notes_of(final)
    for path in (notes, notes.with_name(f"{notes.name}.part")):
        path.unlink(missing_ok=True)
