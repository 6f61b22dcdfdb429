"""A file to learn from -> its records, each with where it stands: JSON lines, JSON, CSV, TSV, parquet or plain text."""

from __future__ import annotations

import csv
import importlib
import io
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePath
from types import MappingProxyType
from typing import Any

from .errors import BadTrainingData, BadTrainingRow

FILE_MAX = 64 * 2**20  # bytes
END = "<|endoftext|>"  # a line that ends a document of a text file; where there is none, an empty line does
_BOM = b"\xef\xbb\xbf"
_DELIMITERS = (",", ";", "\t")


@dataclass(frozen=True)
class Place:
    """Where a record stands, as a person looks for it: “Line” or “Row”, and its number from 1."""

    unit: str
    number: int
    file: str

    def refused(self, reason: str) -> BadTrainingRow:
        """The error that names it."""
        return BadTrainingRow(unit=self.unit, line=self.number, file=self.file, reason=reason)


Record = tuple[Place, Any]


def read_records(data: bytes, file: str) -> Iterator[Record]:
    """The records of a file by the ending of its name, JSON lines where that says nothing.

    Raises BadTrainingData where the file cannot be read, BadTrainingRow where a record cannot.
    """
    if len(data) > FILE_MAX:
        raise BadTrainingData(file=file, reason=f"it is larger than {FILE_MAX // 2**20} MiB")
    reader = _READERS.get(PurePath(file).suffix.lower(), _json_lines)
    yield from reader(data.removeprefix(_BOM), file)


def _json_lines(data: bytes, file: str) -> Iterator[Record]:
    for number, line in enumerate(data.split(b"\n"), 1):
        if line.strip():
            place = Place("Line", number, file)
            try:
                record = json.loads(line.decode("utf-8"))
            except UnicodeDecodeError:
                raise place.refused("it is not UTF-8 text") from None
            except (ValueError, RecursionError) as error:
                raise place.refused(f"it is not JSON ({str(error).partition(':')[0][:80]})") from None
            yield place, record


def _json(data: bytes, file: str) -> Iterator[Record]:
    """A list of records, or an object with one such list; JSON lines are often named .json too."""
    try:
        whole = json.loads(_decoded(data, file))
    except (ValueError, RecursionError):
        yield from _json_lines(data, file)
        return
    lists = [whole] if isinstance(whole, list) else [v for v in _values(whole) if isinstance(v, list)]
    if isinstance(whole, dict) and (len(lists) != 1 or "messages" in whole or "conversations" in whole):
        lists = [[whole]]
    if len(lists) != 1:
        raise BadTrainingData(file=file, reason="it is JSON, but no list of rows")
    yield from ((Place("Row", number, file), record) for number, record in enumerate(lists[0], 1))


def _values(value: Any) -> list[Any]:
    return list(value.values()) if isinstance(value, dict) else []


def _csv(data: bytes, file: str) -> Iterator[Record]:
    text = _decoded(data, file)
    head = text.partition("\n")[0]
    delimiter = max(_DELIMITERS, key=head.count)
    csv.field_size_limit(min(sys.maxsize, FILE_MAX))
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        names = [name.strip() for name in next(rows, [])]
        begins = rows.line_num + 1
        for cells in rows:
            if cells:
                if len(cells) != len(names):
                    reason = f"it has {len(cells)} columns, and the first line names {len(names)}"
                    raise Place("Line", begins, file).refused(reason)
                yield Place("Line", begins, file), dict(zip(names, cells, strict=True))
            begins = rows.line_num + 1
    except csv.Error as error:
        raise Place("Line", rows.line_num, file).refused(f"it is not CSV ({error})") from None


def _parquet(data: bytes, file: str) -> Iterator[Record]:
    try:  # no requirement: few have parquet files, and it takes 150 MB
        parquet = importlib.import_module("pyarrow.parquet")
    except ImportError:
        raise BadTrainingData(
            file=file, reason="reading parquet takes the package pyarrow, which is not here"
        ) from None
    try:
        rows = parquet.read_table(io.BytesIO(data)).to_pylist()
    except (ValueError, OSError) as error:  # its own errors are either
        reason = f"it is not parquet ({str(error).partition(chr(10))[0][:80]})"
        raise BadTrainingData(file=file, reason=reason) from None
    yield from ((Place("Row", number, file), row) for number, row in enumerate(rows, 1))


def _text(data: bytes, file: str) -> Iterator[Record]:
    lines = _decoded(data, file).splitlines()
    ends = (lambda line: line.strip() == END) if any(line.strip() == END for line in lines) else _is_blank
    held: list[str] = []
    for number, line in enumerate([*lines, END if ends is not _is_blank else ""], 1):
        if not ends(line):
            held.append(line)
            continue
        if document := "\n".join(held).strip():
            yield Place("Line", number - len(held), file), {"text": document}
        held = []


def _is_blank(line: str) -> bool:
    return not line.strip()


def _decoded(data: bytes, file: str) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        number = data.count(b"\n", 0, error.start) + 1
        raise Place("Line", number, file).refused("it is not UTF-8 text") from None


_READERS: Mapping[str, Callable[[bytes, str], Iterator[Record]]] = MappingProxyType(
    {".json": _json, ".csv": _csv, ".tsv": _csv, ".parquet": _parquet, ".txt": _text, ".md": _text}
)
