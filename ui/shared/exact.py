"""Texts as the Chatbot is given them: every character of them is shown, and they come back as they were.

The Chatbot draws Markdown, which takes characters away: tags, entities, escapes, indentation. Where it would, a
character is replaced by a stand-in that Markdown knows nothing about, and `exact.js` puts it back once all is drawn,
as it does in what is copied and edited. `read` undoes it wherever a conversation comes in, so nothing else knows.
Formulas get delimiters of our own, so that a `$` is one of a formula only where this file says so: prices stay prices.
"""

from __future__ import annotations

import re

FIRST = 0x10F800  # of the stand-ins, one for each character below 256, where no font or program has signs of its own
KEPT, NOTHING = chr(FIRST + 0x100), chr(FIRST + 0x101)  # the next is no stand-in; an edge that Markdown does not trim
_DELIMITERS = ("$", "$", "$$", "$$", "\\(", "\\)", "\\[", "\\]")  # in pairs, left and right
_FIRST_DELIMITER = ord(NOTHING) + 1
FORMULAS: list[dict[str, str | bool]] = [
    {"left": chr(at), "right": chr(at + 1), "display": written in ("$$", "\\[")}
    for at, written in zip(range(_FIRST_DELIMITER, 0x10FFFF, 2), _DELIMITERS[::2], strict=False)
]
LAST = chr(_FIRST_DELIMITER + len(_DELIMITERS) - 1)
_OWN = f"[{chr(FIRST)}-{LAST}]"
_READ = re.compile(f"{KEPT}(.?)|{_OWN}", re.DOTALL)
_ANY_MARK = re.compile(f"[\0-/:-@\\[-`{{-ÿ]|{_OWN}")


def read(text: str) -> str:
    """What stands for it in the Chatbot, or was typed into it, as the text that it is."""
    return _READ.sub(_original, text) if _READ.search(text) else text


def verbatim(text: str) -> str:
    """A text for the Chatbot that is drawn as it is, white space too: what a visitor wrote."""
    return f"{NOTHING}{_hidden(_ANY_MARK, text)}{NOTHING}" if text else ""


def formatted(text: str) -> str:
    """A text for the Chatbot whose lists, code, headings, tables and bold words are drawn: what a model wrote.

    What Markdown would drop, renumber, fetch or run stands there as it was written.
    """
    state, lines, drawn = _Lines(), text.split("\n"), list[str]()
    while lines:
        block = _formula_block(lines) if not state.fence else None
        if block is None:
            drawn.append(state.next(lines.pop(0)))
        else:
            drawn.append(block)
            del lines[: block.count("\n") + 1]
            state.before = ""
    return "\n".join(drawn)


def _original(found: re.Match[str]) -> str:
    if found[1] is not None:
        return found[1]
    code = ord(found[0])
    if code >= _FIRST_DELIMITER:
        return _DELIMITERS[code - _FIRST_DELIMITER]
    return "" if found[0] == NOTHING else chr(code - FIRST)


def _hidden(marks: re.Pattern[str], text: str) -> str:
    return marks.sub(lambda found: "".join(map(_stand_in, found[0])), text)


def _stand_in(character: str) -> str:
    if FIRST <= ord(character) <= ord(LAST):
        return KEPT + character
    return chr(FIRST + ord(character)) if ord(character) < 0x100 else character


# --- formulas -----------------------------------------------------------------------------------------------

_FORMULA = re.compile(
    r"(?P<code>(?P<ticks>`+)(?!`).*?(?<!`)(?P=ticks)(?!`))"  # nothing in it is one
    r"|(?P<escaped>\\[\\$])"
    r"|\$\$(?P<display>[^$]*[^$\s][^$]*)\$\$(?!\$)"
    r"|(?<![A-Za-z0-9$])\$(?P<inline>[^\s$](?:[^$]*[^\s$\\])?)\$(?![A-Za-z0-9$])"
    r"|\\\((?P<round>.+?)\\\)|\\\[(?P<square>.+?)\\\]"
)
_KINDS = {"inline": 0, "display": 2, "round": 4, "square": 6}  # where their delimiters are
_OF_MATHEMATICS = re.compile(r"[\\^_={}+<>]")
_BLOCK_ENDS = {"$$": "$$", "\\[": "\\]"}


def _delimited(kind: str, formula: str) -> str:
    left = _FIRST_DELIMITER + _KINDS[kind]
    return f"{chr(left)}{formula}{chr(left + 1)}"


def _formula(found: re.Match[str]) -> str:
    """The formula with its delimiters; empty for what is none: code, a price, signs of ours."""
    kind = next((kind for kind in _KINDS if found[kind]), "")
    formula = found[kind] if kind else ""
    priced = formula[:1].isdigit() and " " in formula and not _OF_MATHEMATICS.search(formula)
    return "" if not kind or priced or re.search(_OWN, formula) else _delimited(kind, formula)


def _formula_block(lines: list[str]) -> str | None:
    """The formula of several lines that begins with the first one; None if none does."""
    first = lines[0].strip()
    end = _BLOCK_ENDS.get(first[:2])
    if end is None or end in first[2:]:
        return None
    for count, line in enumerate(lines[1:], 2):
        if not line.strip():
            return None
        if end in line:
            text = "\n".join(lines[:count])
            before, _, formula = text.partition(first[:2])
            formula, _, after = formula.rpartition(end)
            if after.strip() or end in formula or re.search(_OWN, text):
                return None
            return before + _delimited("display" if end == "$$" else "square", formula) + after
    return None


# --- Markdown, line by line ---------------------------------------------------------------------------------

_ADDRESS = re.compile(r"(https?://[^\s<>\[\]\"'`\\]+)")
_INLINE = re.compile(
    r"\\[!-/:-@\[-`{-~]|\\|<|_"  # escapes, tags; names like __init__
    r"|&(?=#?\w+;)|!(?=\[)|\](?=[(\[:])|\[(?=[ xX]\](?:\s|$))"  # entities, images, hidden addresses, boxes to tick
    r"|(?<!~)~(?!~)|(?<=[A-Za-z0-9)])\*+(?=[A-Za-z0-9(])"  # ~5 and ~6; x**2 + y**2
    r"|(?:^|(?<=\s))#+(?=\s*$)|^ {0,3}>>+"  # a heading's second marks; >>> of a Python session
    rf"|%%%(?=LATEX)|(?<=src=)\"(?=/file)|{_OWN}"  # what Gradio replaces
)
_IN_ADDRESS = re.compile(rf"&(?=#?\w+;)|{_OWN}")
_IN_CODE = re.compile(rf"%%%(?=LATEX)|(?<=src=)\"(?=/file)|{_OWN}")
_FENCE = re.compile(r"([ \t]*)(`{3,}|~{3,})(?P<info>[^`]*)$")
_INFO = re.compile(rf"(?<=```)mermaid|{_OWN}")  # a diagram would be drawn, and what it was made of be gone
_BLOCK = re.compile(r"[ \t]*(?:[-*+]|\d{1,9}[.)])(?:\s|$)|[ \t]*(?:>|#{1,6}\s|\||`{3}|~{3})")
_ITEM = re.compile(r"[ \t]*(?:[-*+]|\d{1,9}[.)])(?:\s|$)")
_NUMBER = re.compile(r"([ \t]*)(\d{1,9})([.)])(?=\s|$)")
_UNDERLINE = re.compile(r" {0,3}(?:=+|-+)[ \t]*$")
_COLUMNS = re.compile(r" {0,3}\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*$")


class _Lines:
    """What the lines so far mean for the next one."""

    def __init__(self) -> None:
        self.fence = ""  # that is open
        self.indent = 0  # of it
        self.numbers: dict[int, int] = {}  # the next of each open numbered list, by its indentation
        self.in_list = False
        self.before = ""  # the line before this one
        self.columns = 0  # of the table that is open

    def next(self, line: str) -> str:
        drawn = self._in_fence(line) if self.fence else self._outside(line)
        self.before = line
        return drawn

    def _in_fence(self, line: str) -> str:
        body = line.strip()
        if len(body) >= len(self.fence) and not body.strip(self.fence[0]):
            self.fence = ""
            return line
        # Left of its fence a line may end the list that the fence is in, so it is taken for text as well.
        return _hidden(_INLINE if body and _indent(line) < self.indent else _IN_CODE, line)

    def _outside(self, line: str) -> str:
        if (fence := _FENCE.match(line)) and (self.in_list or len(fence[1]) < 4):
            self.fence, self.indent = fence[2], _indent(line)
            return _hidden(_INFO, line)
        if not line.strip():
            self.columns = 0
            return line
        if not self.before.strip() and not line[0].isspace() and not _ITEM.match(line):
            self.in_list, self.numbers = False, {}
        self.in_list = self.in_list or bool(_ITEM.match(line))
        drawn = _inline(line)
        if self._is_table(line):
            return drawn
        if self.columns:
            return _cells(drawn, self.columns)
        return self._begun(line, drawn)

    def _is_table(self, line: str) -> bool:
        if "|" in line and "|" in self.before and _COLUMNS.match(line):
            self.columns = len(line.strip().strip("|").split("|"))
            return True
        return False

    def _begun(self, line: str, drawn: str) -> str:
        """The beginning of a line: its number, its indentation, whether it underlines the one before."""
        if number := _NUMBER.match(line):
            mark = number[3] if self._follows(number) else _stand_in(number[3])
            return drawn[: number.end(2)] + mark + drawn[number.end(3) :]
        if self.before.strip() and _UNDERLINE.match(line):
            return "".join(map(_stand_in, line))
        spaces = len(line) - len(line.lstrip(" \t"))
        continues = bool(self.before.strip()) or (spaces < 4 and not self.in_list)
        if spaces and continues and not _BLOCK.match(line):
            return "".join(map(_stand_in, line[:spaces])) + drawn[spaces:]
        return drawn

    def _follows(self, number: re.Match[str]) -> bool:
        """Whether a list would show the number that is written."""
        indent = _indent(number[0])
        place = next((at for at in self.numbers if at <= indent < at + 3), indent)
        if number[2] != str(int(number[2])) or self.numbers.get(place, int(number[2])) != int(number[2]):
            return False
        self.numbers = {at: value for at, value in self.numbers.items() if at < place} | {place: int(number[2]) + 1}
        return True


def _inline(line: str) -> str:
    """The inside of a line: formulas as formulas, of the rest what Markdown would take for something else hidden."""
    drawn, at = [], 0
    for found in _FORMULA.finditer(line):
        if formula := _formula(found):
            drawn += [_text(line[at : found.start()]), formula]
            at = found.end()
    return "".join([*drawn, _text(line[at:])])


def _text(part: str) -> str:
    return "".join(_hidden(_IN_ADDRESS if at % 2 else _INLINE, text) for at, text in enumerate(_ADDRESS.split(part)))


def _indent(line: str) -> int:
    spaces = line[: len(line) - len(line.lstrip(" \t"))]
    return len(spaces.expandtabs(4))


def _cells(drawn: str, columns: int) -> str:
    """A row of a table; cells beyond its columns would be left out, so they stay in the last one."""
    first = 1 if drawn.lstrip().startswith("|") else 0
    last = len(drawn.rstrip()) - 1
    bars = [at for at, character in enumerate(drawn) if character == "|" and at != last]
    return "".join(_stand_in(c) if at in bars[columns - 1 + first :] else c for at, c in enumerate(drawn))
