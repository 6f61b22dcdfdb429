"""Documents from files of each kind, and what is said of files that cannot be read."""

import json

import numpy as np
import pytest

from models.domain.errors import BadDocuments
from models.training.documents import documents, files_of
from models.training.token_rows import HELD_OUT, TRAIN, Rows, mark, scan, write_rows

TEXTS = ["One fox.\nIt ran.", "Two crows,\n\nfar “away”.", "漢字 and émoji 😀"]


def write_csv(path):
    path.write_text("id,Text\n" + "".join(f'{n},"{text}"\n' for n, text in enumerate(TEXTS)), encoding="utf-8")


def write_parquet(path):
    arrow = pytest.importorskip("pyarrow")
    import pyarrow.parquet

    pyarrow.parquet.write_table(arrow.table({"id": [1, 2, 3], "text": TEXTS}), path)


WRITERS = {
    "ended.txt": lambda path: path.write_text("\n<|endoftext|>\n".join(TEXTS), encoding="utf-8-sig"),
    "windows.md": lambda path: path.write_text("\n<|endoftext|>\n".join(TEXTS), encoding="utf-8", newline="\r\n"),
    "rows.jsonl": lambda path: path.write_text("\n\n".join(json.dumps({"id": 1, "text": text}) for text in TEXTS)),
    "plain.ndjson": lambda path: path.write_text("\n".join(json.dumps(text) for text in TEXTS)),
    "table.csv": write_csv,
    "table.parquet": write_parquet,
}


@pytest.mark.parametrize("name", WRITERS)
def test_each_kind_of_file(name, tmp_path):
    WRITERS[name](tmp_path / name)
    assert list(documents(files_of(tmp_path))) == TEXTS
    assert list(documents([tmp_path / name], most=2)) == TEXTS[:2]


def test_without_an_end_mark_empty_lines_part_a_text(tmp_path):
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "two.txt").write_text("c\n")
    (tmp_path / "a.txt").write_text("a\na\n \n\n\nb")
    (tmp_path / "a.pdf").write_text("no")
    assert list(documents(files_of(tmp_path))) == ["a\na", "b", "c"]


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("latin.txt", "ok\nna\xefve".encode("latin-1"), "line 2 is not UTF-8 text"),
        ("wide.jsonl", "text".encode("utf-16"), "line 1 is not UTF-8 text"),
        ("broken.jsonl", b'{"text": "a"}\n{"text"', "line 2 is not JSON"),
        ("other.jsonl", b'{"title": "a"}', "line 1 has no text in text, content"),
        ("half.jsonl", b'{"text": "\\ud83d"}', "half of a surrogate pair"),
        ("other.csv", b"id,title\n1,a\n", "none of its columns is called text"),
        ("short.csv", b"id,text\n1,a\n2\n", "line 3 has 1 columns"),
        ("no.parquet", b"PAR0", "parquet"),
        ("file.docx", b"PK", "“.docx” are not read"),
    ],
)
def test_what_cannot_be_read_is_named(name, data, reason, tmp_path):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(BadDocuments, match=name) as caught:
        list(documents(files_of(tmp_path / name)))
    assert reason in caught.value.message


def test_a_line_without_end_is_not_read_whole(tmp_path, monkeypatch):
    monkeypatch.setattr("models.training.documents.LONGEST", 1000)
    (tmp_path / "long.txt").write_bytes(b"x" * 5000)
    with pytest.raises(BadDocuments, match="line 1 is longer than"):
        list(documents([tmp_path / "long.txt"]))


def test_nothing_there(tmp_path):
    for path, reason in ((tmp_path / "none.txt", "no such file"), (tmp_path, "no files of a known kind")):
        with pytest.raises(BadDocuments, match=reason):
            files_of(path)


def test_held_out_by_content_alone():
    texts = [f"document {number}" for number in range(2000)]
    first, second = scan(texts, 0.1), scan([*reversed(texts), "one more"], 0.1)
    held = {text for text in texts if mark(text) < first.limit}
    assert held == {text for text in texts if mark(text) < second.limit}
    assert 130 < len(held) < 270
    assert (first.documents, first.sha256 == second.sha256) == (2000, False)
    for few in (["a", "b"], ["a", "b", "a"]):  # one of each split, whatever the share
        for share in (0.0001, 0.5):
            assert {mark(text) < scan(few, share).limit for text in few} == {True, False}
    assert not scan(["a", "a"], 0.5).distinct


def test_rows_are_whole_documents_each_once_an_epoch(tmp_path):
    texts = [f"{'w ' * (number % 7)}{number}" for number in range(300)]
    scanned = scan(texts, 0.1)
    ids = {text: [len(text), number + 5] + [9] * (number % 4) for number, text in enumerate(texts)}
    counts = write_rows(texts, scanned, lambda group: [ids[text] for text in group], 1, 70_000, 5, tmp_path)
    rows, held = Rows(tmp_path, TRAIN), Rows(tmp_path, HELD_OUT)
    fitting = [text for text in texts if len(ids[text]) < 5]
    expected = [[*ids[text], 1] for text in fitting if mark(text) >= scanned.limit]
    assert [rows[number].tolist() for number in range(len(rows))] == expected
    assert rows[0].dtype == np.uint32
    assert (counts.documents, counts.held_out) == (len(rows), len(held))
    assert counts.left_out == len(texts) - len(fitting) == 75
    assert counts.tokens == sum(map(len, expected))
    orders = [
        [batch.tolist() for batch in rows.batches(8, seed, epoch)] for seed, epoch in ((0, 0), (0, 0), (0, 1), (1, 0))
    ]
    assert orders[0] == orders[1]
    assert orders[0] != orders[2] != orders[3]
    for order in orders:
        assert sorted(number for batch in order for number in batch) == list(range(len(rows)))
        assert len(order) == -(-len(rows) // 8)
