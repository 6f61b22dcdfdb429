"""Token ids -> text that can be shown at once: whole characters only, and nothing of a stop string."""

from __future__ import annotations

from collections.abc import Callable, Sequence

_BROKEN = "\ufffd"  # what decoding gives for the bytes of an unfinished character


class Detokenizer:
    """Decodes token by token; the pieces joined are the decoding of all tokens.

    A window of a few tokens is decoded again each time, because a token's text depends on its neighbours, the last
    ones of the text `before` among them. `bytes_of` tokens tell U+FFFD that a model wrote from a broken character.
    """

    def __init__(
        self,
        decode: Callable[[list[int]], str],
        bytes_of: Callable[[Sequence[int]], bytes] = lambda ids: b"",
        before: Sequence[int] = (),
    ) -> None:
        self._decode, self._bytes_of = decode, bytes_of
        self._ids: list[int] = list(before)
        self._start = 0  # of the window
        self._shown = len(self._ids)  # tokens whose text was handed out

    def push(self, token: int) -> str:
        """The text that this token completes; empty inside a character."""
        self._ids.append(token)
        before, now = self._window()
        if len(now) <= len(before) or now.endswith(_BROKEN):
            return ""
        self._start, self._shown = self._shown, len(self._ids)
        return now[len(before) :]

    def peek(self, token: int) -> str:
        """The text that this token would complete, which is not pushed; at least what it is alone."""
        before, now = self._window([token])
        text = now[len(before) :]
        return text if text.strip(_BROKEN) else self._decode([token])

    def finish(self) -> str:
        """What was still held back, without an unfinished character at the end."""
        before, now = self._window()
        held = self._bytes_of(self._ids[self._shown :]).decode(errors="ignore")
        written = len(held) - len(held.rstrip(_BROKEN))
        return now[len(before) :].rstrip(_BROKEN) + _BROKEN * written

    def _window(self, more: Sequence[int] = ()) -> tuple[str, str]:
        return self._decode(self._ids[self._start : self._shown]), self._decode([*self._ids[self._start :], *more])


Rivals = tuple[tuple[str, float], ...]


def token_texts(
    pieces: Detokenizer, ids: Sequence[int], added: bool, best: Sequence[Sequence[tuple[int, float]]]
) -> tuple[tuple[str, ...], tuple[Rivals, ...], str]:
    """The texts of all tokens but the first, of the rivals at each place, and of the first unless it was `added`.

    Each reads as it does after those before it, and joined they are the text: a token within a character is empty.
    """
    first, texts, named = "" if added else pieces.push(ids[0]), [], []
    for place, token in enumerate(ids[1:]):
        if best:
            named.append(tuple((pieces.peek(rival), chance) for rival, chance in best[place]))
        texts.append(pieces.push(token))
    texts[-1] += pieces.finish()
    return tuple(texts), tuple(named), first


class StopStrings:
    """Cuts a stream of text before the first stop string; what may become one is held back until decided."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(stops)
        self._held = ""
        self.found = False

    def push(self, text: str) -> str:
        """The text that may be shown; after `found` always empty."""
        if self.found:
            return ""
        self._held += text
        places = [place for stop in self._stops if (place := self._held.find(stop)) >= 0]
        if places:
            self.found = True
            shown, self._held = self._held[: min(places)], ""
            return shown
        cut = len(self._held) - undecided(self._held, self._stops)
        shown, self._held = self._held[:cut], self._held[cut:]
        return shown

    def finish(self) -> str:
        """What was held back and turned out not to be a stop string."""
        shown, self._held = self._held, ""
        return shown


def undecided(text: str, marks: Sequence[str]) -> int:
    """The length of the longest end of a text that begins one of the marks."""
    longest = max((len(mark) for mark in marks), default=1) - 1
    for length in range(min(longest, len(text)), 0, -1):
        if any(mark.startswith(text[-length:]) for mark in marks):
            return length
    return 0
