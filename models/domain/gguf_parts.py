"""A GGUF model in several files: NAME-00001-of-00003.gguf and its like are one model, named by the first."""

from __future__ import annotations

import re
from pathlib import Path

MOST_PARTS = 1000
_PART = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf")


def part_names(name: str) -> list[str]:
    """The names of all files of the model that a file belongs to, in order; of an ordinary file its own."""
    found = _PART.fullmatch(name)
    count = int(found["count"]) if found else 0
    if not found or not 1 <= int(found["number"]) <= count <= MOST_PARTS:
        return [name]
    return [f"{found['stem']}-{number:05}-of-{count:05}.gguf" for number in range(1, count + 1)]


def part_files(path: Path) -> list[Path]:
    """The same as paths; that they are there is not said."""
    return [path.with_name(name) for name in part_names(path.name)]


def whole_name(name: str) -> str:
    """The name that a model in several files would have as one."""
    found = _PART.fullmatch(name)
    return f"{found['stem']}.gguf" if found else name
