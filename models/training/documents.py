"""Documents to pretrain on, one after another, from files that are never held as a whole.

Of text files a document ends at a line <|endoftext|>, and where none is in a file, at an empty line.
"""

from __future__ import annotations

import csv
import importlib
import importlib.util
import json
import sys
from codecs import BOM_UTF8
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from ..domain.errors import BadDocuments

END = "<|endoftext|>"
FIELDS = ("text", "content", "story", "completion")  # that hold the text of a row, the first that is there
LONGEST = 16 * 2**20  # bytes of a line: what is no text at all has no line ends
_ROWS = 256  # of a parquet file that are read at once
_HINT = f"Give text, JSON lines, CSV or parquet, with a field or column {', '.join(FIELDS[:-1])} or {FIELDS[-1]}."


def refused(path: Path, reason: str, suggestion: str = _HINT) -> BadDocuments:
    """What to say of a file that cannot be read."""
    return BadDocuments(file=path.name[:80] or str(path), reason=reason, suggestion=suggestion)


def files_of(data: Path) -> list[Path]:
    """The file, or those of a folder and the folders in it that can be read, by name; raises BadDocuments."""
    if data.is_file():
        if data.suffix.lower() not in READERS:
            raise refused(data, f"files ending in “{data.suffix}” are not read", _HINT)
        return [data]
    if not data.is_dir():
        raise refused(data, "there is no such file or folder", f"Name a file, a folder, or one of {', '.join(_NAMED)}.")
    found = sorted(path for path in data.rglob("*") if path.suffix.lower() in READERS and path.is_file())
    if not found:
        raise refused(data, "the folder holds no files of a known kind", _HINT)
    return found


def documents(files: Sequence[Path], most: int = 0) -> Iterator[str]:
    """Texts without blanks around them, the empty ones left out, `most` of them unless it is 0.

    Raises BadDocuments, which names the line.
    """
    found = (text for path in files for one in _read(path) if (text := one.strip()))
    return islice(found, most) if most else found


def _read(path: Path) -> Iterator[str]:
    try:
        yield from READERS[path.suffix.lower()](path)
    except OSError as error:
        raise refused(path, f"it cannot be read ({error.strerror})", "Make it readable.") from None


def _lines(path: Path) -> Iterator[str]:
    with path.open("rb") as file:
        for number, line in enumerate(_byte_lines(file, path), 1):
            if number == 1:
                line = line.removeprefix(BOM_UTF8)
            try:
                yield line.decode("utf-8").replace("\r\n", "\n")
            except UnicodeDecodeError:
                raise refused(path, f"line {number:,} is not UTF-8 text", "Save it as UTF-8.") from None


def _byte_lines(file: BinaryIO, path: Path) -> Iterator[bytes]:
    number = 0
    while line := file.readline(LONGEST + 1):
        number += 1
        if len(line) > LONGEST:
            raise refused(path, f"line {number:,} is longer than {LONGEST // 2**20} MiB")
        yield line


def _text(path: Path) -> Iterator[str]:
    ended = _is_ended(path)
    held: list[str] = []
    length = 0
    for number, line in enumerate(_lines(path), 1):
        if (line.strip() == END) if ended else not line.strip():
            yield "".join(held)
            held, length = [], 0
            continue
        held.append(line)
        length += len(line)
        if length > LONGEST:
            raise refused(path, f"the document before line {number:,} is longer than {LONGEST // 2**20} MiB")
    yield "".join(held)


def _is_ended(path: Path) -> bool:
    mark = END.encode()
    with path.open("rb") as file:
        return any(line.strip() == mark for line in _byte_lines(file, path))


def _json_lines(path: Path) -> Iterator[str]:
    for number, line in enumerate(_lines(path), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise refused(path, f"line {number:,} is not JSON ({str(error).partition(':')[0][:80]})") from None
        yield _field(row, path, number)


def _field(row: Any, path: Path, line: int) -> str:
    named = (row.get(name) for name in FIELDS) if isinstance(row, dict) else (row,)
    text = next((value for value in named if isinstance(value, str)), None)
    if text is None:
        raise refused(path, f"line {line:,} has no text in {', '.join(FIELDS)}")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise refused(path, f"line {line:,} contains a broken character (half of a surrogate pair)") from None
    return text


def _csv(path: Path) -> Iterator[str]:
    csv.field_size_limit(min(sys.maxsize, LONGEST))
    rows = csv.reader(_lines(path))
    try:
        place = _place(path, next(rows, []))
        for row in rows:
            if row:
                if len(row) <= place:
                    raise refused(path, f"line {rows.line_num:,} has {len(row)} columns")
                yield row[place]
    except csv.Error as error:
        raise refused(path, f"line {rows.line_num:,} is not CSV ({error})") from None


def _place(path: Path, names: Iterable[str]) -> int:
    columns = [name.strip().lower() for name in names]
    for name in FIELDS:
        if name in columns:
            return columns.index(name)
    raise refused(path, f"none of its columns is called {', '.join(FIELDS)}")


def _parquet(path: Path) -> Iterator[str]:
    if importlib.util.find_spec("pyarrow") is None:
        raise refused(path, "reading parquet needs pyarrow", "Run `pip install pyarrow`, or save it as JSON lines.")
    library = importlib.import_module("pyarrow.parquet")
    try:
        file = library.ParquetFile(path)
    except (ValueError, OSError) as error:
        raise refused(path, f"it is not parquet ({str(error)[:80]})") from None
    column = file.schema_arrow.names[_place(path, file.schema_arrow.names)]
    for batch in file.iter_batches(batch_size=_ROWS, columns=[column]):
        yield from (str(value) for value in batch.column(0).to_pylist() if value)


READERS: dict[str, Callable[[Path], Iterator[str]]] = {
    ".txt": _text,
    ".md": _text,
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
    ".csv": _csv,
    ".parquet": _parquet,
}
_NAMED = ("stories", "tinystories")
