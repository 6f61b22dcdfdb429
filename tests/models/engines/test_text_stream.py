"""Whole characters, and nothing of a stop string, however the text is cut into tokens."""

import random

import pytest

from models.engines.text_stream import Detokenizer, StopStrings


def decode(ids):
    return bytes(ids).decode("utf-8", errors="replace")


@pytest.mark.parametrize("text", ["plain", "😀🎉 漢字 é", "👩‍👩‍👧‍👦 family", "", "a�b"])
def test_bytes_become_the_same_text(text):
    detokenizer = Detokenizer(decode)
    pieces = [detokenizer.push(byte) for byte in text.encode()] + [detokenizer.finish()]
    assert "".join(pieces) == text
    if "�" not in text:
        assert not any("�" in piece for piece in pieces)


def test_an_unfinished_character_at_the_end_is_dropped():
    detokenizer = Detokenizer(decode)
    pieces = [detokenizer.push(byte) for byte in "ok 😀".encode()[:-1]]
    assert "".join(pieces) + detokenizer.finish() == "ok "


def cut(text, size):
    return [text[start : start + size] for start in range(0, len(text), size)]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
@pytest.mark.parametrize(
    ("text", "stops", "shown", "found"),
    [
        ("Hello\n\nUser: hi", ["\nUser:"], "Hello\n", True),
        ("ababac!", ["abac"], "ab", True),
        ("one two three", ["three", "two"], "one ", True),
        ("almost the en", ["end"], "almost the en", False),
        ("no stops at all", [], "no stops at all", False),
        ("END", ["END"], "", True),
    ],
)
def test_text_is_cut_before_the_stop_string(text, stops, shown, found, size):
    filtering = StopStrings(stops)
    pieces = [filtering.push(piece) for piece in cut(text, size)]
    if not filtering.found:
        pieces.append(filtering.finish())
    assert filtering.found is found
    if size <= 3 or not found or len(stops) == 1:
        assert "".join(pieces) == shown


def test_nothing_shown_has_to_be_taken_back():
    letters = random.Random(1)
    for _ in range(300):
        text = "".join(letters.choices("ab", k=30))
        stop = "".join(letters.choices("ab", k=4))
        filtering = StopStrings([stop])
        shown = "".join(filtering.push(piece) for piece in cut(text, letters.randint(1, 5)))
        shown += "" if filtering.found else filtering.finish()
        assert shown == text.split(stop)[0]
