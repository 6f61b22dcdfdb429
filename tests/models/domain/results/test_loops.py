"""A text that says the same again and again is found, and what only looks like it is not."""

import time

import pytest

from models.domain.results.loops import repeats_from


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        ("I am sorry. " * 10, "I am sorry. " * 9),
        ("It begins well. " + "The answer is 4. " * 8, "The answer is 4. " * 7),
        ("a\n" * 40, "a\n" * 39),
        ("你好。" * 20, "你好。" * 19),
        ("One way. " + "So it is so. " * 6 + "It ends otherwise.", "So it is so. " * 5 + "It ends otherwise."),
    ],
)
def test_where_a_phrase_comes_for_the_second_time(text, rest):
    place = repeats_from(text)
    assert text[place:] == rest


@pytest.mark.parametrize(
    "text",
    [
        "",
        "A bicycle stays upright because its wheels steer into a fall, and its rider helps.",
        "No, no, no.",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
        "=" * 200,
        "It is a fine day. The sky is blue.\n" * 2,
        "\n".join(f"{number}. A line of its own." for number in range(1, 9)),
    ],
)
def test_no_loop(text):
    assert repeats_from(text) is None


def test_a_long_text_takes_no_time():
    text = "".join(chr(97 + (n * n * 7919) % 26) for n in range(200_000))
    start = time.process_time()
    repeats_from(text)
    assert time.process_time() - start < 2
