"""Text on its way in and out of a process: files and input as UTF-8, output in what a terminal can show."""

from __future__ import annotations

import codecs
import json
import os
import re
import sys

from ..domain.errors import NotUtf8

_WIDE = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_NEAREST = {"·": "-", "—": "-", "–": "-", "…": "...", "×": "x", "≤": "<=", "≥": ">=", "→": "->"}
_NEAREST |= {"“": '"', "”": '"', "‘": "'", "’": "'"}


def decoded(data: bytes, name: str, declared: str = "") -> str:
    """The text of a file or of standard input; raises NotUtf8.

    A byte order mark is no text, and the line ends of Windows are line ends. `declared` is another encoding that the
    terminal is set to, for what is not UTF-8.
    """
    text = _decoded(data, "utf-8-sig")
    if text is None and not data.startswith(_WIDE) and _is_another(declared):
        text = _decoded(data, declared)
    if text is None:
        raise NotUtf8(name=name[:80])
    return text.replace("\r\n", "\n")


def typed(argument: str) -> str:
    """A text given on the command line, which Python reads as single bytes where the terminal is set to ASCII."""
    return _decoded(os.fsencode(argument), "utf-8") or argument if re.search("[\udc80-\udcff]", argument) else argument


def lenient_output() -> None:
    """Have stdout and stderr replace what they cannot show, instead of failing in the middle of an answer."""
    codecs.register_error("paddock", _replaced)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="paddock")


def json_for_output(text: str) -> str:
    """JSON as it is where stdout is UTF-8, and in ASCII elsewhere, where a replacement would be another text."""
    if not _is_another(getattr(sys.stdout, "encoding", None) or ""):
        return text
    return re.sub(r"[^\0-\x7f]", lambda found: json.dumps(found[0])[1:-1], text)


def _decoded(data: bytes, encoding: str) -> str | None:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError:
        return None


def _is_another(encoding: str) -> bool:
    """Whether it is named and not UTF-8."""
    try:
        return bool(encoding) and codecs.lookup(encoding).name != "utf-8"
    except LookupError:
        return False


def _replaced(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(_NEAREST.get(character, "?") for character in error.object[error.start : error.end]), error.end
