"""What a command reads, and progress: in a log a line a stage and tenth, at a terminal one line that is rewritten."""

import io
import sys
import time

import pytest

from models.cli.terminal import ProgressLine, lines, read_file, read_text
from models.domain.errors import NotUtf8
from models.domain.messages import Progress


def given(monkeypatch, data, encoding="utf-8"):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data), encoding=encoding))


def test_standard_input_as_one_text(monkeypatch, tmp_path):
    for read in (read_text, read_file):
        given(monkeypatch, "\ufeffOne\r\n  é ".encode(), "ascii")
        assert read("-") == "One\n  é "
    assert read_text("\ufeffx\r\n") == "\ufeffx\r\n"
    (tmp_path / "text").write_bytes("\ufeffé\r\n".encode())
    assert read_file(str(tmp_path / "text")) == "é\n"


def test_standard_input_line_by_line(monkeypatch):
    given(monkeypatch, "\ufeffHi\r\n\n  é \n\ufefflast".encode())
    assert list(lines("> ")) == ["Hi", "", "  é ", "\ufefflast"]
    given(monkeypatch, b"one\n\xe9\n")
    found = lines("> ")
    assert next(found) == "one"
    with pytest.raises(NotUtf8, match="Standard input is not UTF-8"):
        next(found)
    given(monkeypatch, b"\xe9\r\n", "cp1252")
    assert list(lines("> ")) == ["é"]


def test_a_log_gets_a_line_every_tenth(capsys):
    line = ProgressLine()
    for done in range(0, 1001, 10):
        line.show(Progress("download", done, 1000, "bytes", "file.gguf"))
    line.show(Progress("load", 0, 10, "bytes", "file.gguf"))
    line.clear()
    shown = capsys.readouterr().err.splitlines()
    assert [text.partition(" · ")[0] for text in shown] == [f"download file.gguf {n}%" for n in range(0, 101, 10)]


def test_a_terminal_gets_one_line_that_is_taken_away(capsys, monkeypatch):
    line = ProgressLine()
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    for done in (0, 500, 1000):
        line.show(Progress("download", done, 1000, "bytes", "file.gguf"))
    line.clear()
    written = capsys.readouterr().err
    assert "\n" not in written
    assert "[#####.....]" in written
    assert written.endswith("\r\033[K")


def test_a_download_says_how_fast_it_is(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    line = ProgressLine()
    for done in (0, 1_000_000_000, 2_000_000_000):
        line.show(Progress("download", done, 10_000_000_000, "bytes", "llama"))
        now[0] += 10
    assert capsys.readouterr().err.splitlines() == [
        "download llama 0% · 0 B of 10.0 GB",
        "download llama 10% · 1.0 GB of 10.0 GB · 100 MB/s · 2 min left",
        "download llama 20% · 2.0 GB of 10.0 GB · 100 MB/s · 80 s left",
    ]
