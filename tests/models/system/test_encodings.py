"""Text in as it was written, whatever wrote it; text out as far as a terminal can show it."""

import io
import json
import os
import sys

import pytest

from models.domain.errors import NotUtf8
from models.system.encodings import decoded, json_for_output, lenient_output, typed


@pytest.mark.parametrize(
    ("data", "declared", "text"),
    [
        ("é 你好".encode(), "", "é 你好"),
        ("é".encode("utf-8-sig"), "", "é"),
        ("\ufeff\ufeffé".encode(), "", "\ufeffé"),
        (b"a\r\nb\r\n", "", "a\nb\n"),
        (b"a\rb", "", "a\rb"),
        (b"  a \n\n", "", "  a \n\n"),
        ("é".encode(), "cp1252", "é"),
        ("é".encode("cp1252"), "cp1252", "é"),
    ],
)
def test_a_text_is_read(data, declared, text):
    assert decoded(data, "It", declared) == text


@pytest.mark.parametrize(
    ("data", "declared"),
    [
        ("é".encode("cp1252"), ""),
        ("é".encode("cp1252"), "utf-8"),
        ("é".encode("cp1252"), "ascii"),
        ("é".encode("cp1252"), "no such encoding"),
        ("é".encode("utf-16"), "cp1252"),
        (b"\x81", "cp1252"),
    ],
)
def test_what_is_not_utf8_is_said(data, declared):
    with pytest.raises(NotUtf8, match=r"notes\.txt is not UTF-8 text\. Save it as UTF-8"):
        decoded(data, "notes.txt", declared)


def test_an_argument_that_an_ascii_terminal_took_for_bytes():
    assert typed("é 你好") == "é 你好"
    assert typed(os.fsdecode(b"caf\xe9")) == os.fsdecode(b"caf\xe9"), "no UTF-8 either: refused where it is used"
    assert typed("é".encode().decode("ascii", "surrogateescape")) == "é"


@pytest.mark.parametrize(
    ("encoding", "shown"),
    [
        ("ascii", 'a - b - <= ? "q" ... ?'),
        ("cp1252", "a · b — <= é “q” … ?"),
        ("utf-8", "a · b — ≤ é “q” … 你"),
    ],
)
def test_output_is_replaced_where_it_cannot_be_shown(monkeypatch, encoding, shown):
    for name in ("stdout", "stderr"):
        monkeypatch.setattr(sys, name, io.TextIOWrapper(io.BytesIO(), encoding=encoding))
    lenient_output()
    for stream in (sys.stdout, sys.stderr):
        print("a · b — ≤ é “q” … 你", file=stream, flush=True)
        assert stream.buffer.getvalue().decode(encoding) == f"{shown}\n"


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_json_holds_the_text_itself(monkeypatch, encoding):
    text = json.dumps({"answer": "é 你好 😀 \u2028"}, ensure_ascii=False)
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding=encoding))
    written = json_for_output(text)
    assert json.loads(written.encode(encoding).decode(encoding)) == json.loads(text)
    assert (written == text) == (encoding == "utf-8")
