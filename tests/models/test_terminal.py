"""Progress in a log: a line a stage and tenth, not one an event; at a terminal one line that is rewritten."""

from models.spec.messages import Progress
from models.terminal import ProgressLine


def test_a_log_gets_a_line_every_tenth(capsys):
    line = ProgressLine()
    for done in range(0, 1001, 10):
        line.show(Progress("download", done, 1000, "bytes", "file.gguf"))
    line.show(Progress("load", 0, 10, "bytes", "file.gguf"))
    line.clear()
    assert capsys.readouterr().err.splitlines() == [f"download file.gguf {n}%" for n in range(0, 101, 10)]


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
