"""The page's state in its address: which variant or variants, which prompt, which tab."""

from __future__ import annotations

import base64
import json
import zlib
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, fields
from typing import Any, TypeVar
from urllib.parse import urlencode

import gradio as gr

from models.domain.errors import BadHistory, DamagedLink, PaddockError, SamplingOutOfBounds, TooLongForLink
from models.domain.memory.hardware import find_hardware
from models.domain.messages import BOUNDS, Bound, Sampling
from models.domain.request import REFERENCE_TEXT, BasePrompt
from models.domain.results.suggestion import TOLERANCE
from models.domain.thinking import BUDGET, Thinking
from models.domain.variant import LONGEST_SPELLING, Variant

from .language import say
from .sampling import read_stops, write_stops

LONGEST = 4000  # characters of one text in an address; proxies take no longer ones, and half a text is another one
LONGEST_PLAIN = 1000  # a longer text is packed, if that makes it shorter
LONGEST_UNPACKED = 100_000  # bytes that a packed text or conversation may have
TEXTS = {"system": "system prompt", "prompt": "prompt", "text": "text to score", "instruction": "instruction"}
LABELS = ("question", "answer")  # of a base model's prompt
PACKED = "_z"  # at the end of the name of a text that is packed
MOST_VARIANTS = 16  # of a comparison in an address; the server has its own limit

T = TypeVar("T")


@dataclass(frozen=True)
class CompareOptions:
    """How a comparison is made, as the page shows it at first; `distance` is an acceptable quality loss in percent."""

    blind: bool = False
    greedy: bool = True
    one_pass: bool = False
    tokens: bool = False
    quality: bool = True
    several: bool = False
    text: str = REFERENCE_TEXT
    distance: int = round(TOLERANCE * 100)


SWITCHES = tuple(f.name for f in fields(CompareOptions) if f.type == "bool")
DISTANCE = Bound(1, 50, 1, CompareOptions.distance, whole=True)


@dataclass(frozen=True)
class PageState:
    """What a link can carry; None means that the link does not say."""

    variant: Variant | None = None
    sampling: Sampling | None = None
    system: str = ""
    prompt: str = ""
    tab: str = ""  # the first
    variants: tuple[Variant, ...] = ()  # of a comparison
    reference: Variant | None = None
    hardware: str = ""  # that is planned for, by its key or GB; this machine
    conversation: tuple[str, ...] = ()  # questions and answers in turns, the first a question
    thinking: Thinking | None = None
    base_prompt: BasePrompt | None = None
    options: CompareOptions | None = None
    run: bool = False  # once, as soon as the page is open
    unread: str = ""  # what stands where a variant should, and is none


def read(
    query: Mapping[str, str], tabs: Collection[str] = (), models: Collection[str] = ()
) -> tuple[PageState, list[PaddockError]]:
    """The state in a query string, and an error for each part that could not be used.

    `tabs` are the names of those that can be opened, `models` those of listed models. Never raises.
    """
    errors: list[PaddockError] = []

    def usable(otherwise: T, reading: Callable[..., T], *given: Any) -> T:
        try:
            return reading(*given)
        except PaddockError as error:
            errors.append(error)
            return otherwise

    said = defaultdict(str, query)
    variant = usable(None, _read_variant, said["variant"], models)
    reference = usable(None, _read_variant, said["reference"], models)
    spellings = said["variants"].split(",")[:MOST_VARIANTS]
    state = PageState(
        variant,
        unread="" if variant else said["variant"][: LONGEST_SPELLING + 1],
        reference=reference,
        variants=tuple(found for text in spellings if (found := usable(None, _read_variant, text, models))),
        sampling=usable(None, _read_sampling, query),
        thinking=usable(None, _read_thinking, said["thinking"], said["thinking_budget"]),
        **{name: usable("", _text, name, query) for name in ("system", "prompt")},
        base_prompt=usable(None, _read_base_prompt, query),
        options=usable(None, _read_options, query),
        run=said["run"] == "1",
        tab=tab if (tab := _tab(said)) in tabs else "",
        hardware=usable("", lambda text: find_hardware(text).key if text else "", said["hardware"]),
        conversation=usable((), _read_conversation, said["conversation"]),
    )
    return state, errors


def _tab(said: Mapping[str, str]) -> str:
    """The tab that a link opens; an embedded page has one alone."""
    return "" if said["embed"] in ("1", "answer") else "compare" if said["embed"] == "compare" else said["tab"]


def _read_conversation(text: str) -> tuple[str, ...]:
    if not text:
        return ()
    try:
        found = json.loads(_unpacked(text))
    except (ValueError, RecursionError):  # ValueError: of base64, UTF-8 and JSON
        found = None
    if not isinstance(found, list) or not all(isinstance(part, str) for part in found):
        raise BadHistory(reason="it cannot be read")
    return tuple(found)


def _written(conversation: tuple[str, ...]) -> str:
    text = _packed(json.dumps(conversation, ensure_ascii=False))
    if len(text) > LONGEST:
        raise TooLongForLink(name="packed conversation", characters=len(text), limit=LONGEST)
    return text


def _packed(text: str) -> str:
    return base64.urlsafe_b64encode(zlib.compress(text.encode("utf-8", "replace"), 9)).decode()


def _unpacked(text: str) -> str:
    """The whole text; raises ValueError for one that is cut, or longer than is allowed."""
    stream = zlib.decompressobj()
    try:
        unpacked = stream.decompress(base64.urlsafe_b64decode(text[:LONGEST]), LONGEST_UNPACKED)
    except zlib.error as error:
        raise ValueError(str(error)) from None
    if not stream.eof:
        raise ValueError("not whole")
    return unpacked.decode()


def _text(name: str, query: Mapping[str, str]) -> str:
    """A text of a link, plain or packed; raises TooLongForLink, DamagedLink."""
    if not (packed := query.get(f"{name}{PACKED}", "")):
        return _short(name, query.get(name, ""))
    try:
        return _unpacked(packed)
    except ValueError:
        raise DamagedLink(name=TEXTS[name]) from None


def _carried(name: str, text: str) -> dict[str, str]:
    """A text by the parameter that carries it; raises TooLongForLink."""
    if len(text) <= LONGEST_PLAIN or len(packed := _packed(text)) >= len(text):
        return {name: _short(name, text)}
    if len(packed) > LONGEST or len(text.encode("utf-8", "replace")) > LONGEST_UNPACKED:
        raise TooLongForLink(name=f"packed {TEXTS[name]}", characters=len(packed), limit=LONGEST)
    return {f"{name}{PACKED}": packed}


def _read_base_prompt(query: Mapping[str, str]) -> BasePrompt | None:
    said = {name: query[name] for name in LABELS if name in query}
    if instruction := _text("instruction", query):
        said["instruction"] = instruction
    return BasePrompt(**said) if said else None


def _read_options(query: Mapping[str, str]) -> CompareOptions | None:
    switched = {name: True for name in SWITCHES if name in query.get("options", "").split(",")}
    switched |= {name: False for name in SWITCHES if f"no-{name}" in query.get("options", "").split(",")}
    options: dict[str, Any] = dict(switched)
    if text := _text("text", query):
        options["text"] = text
    if query.get("distance"):
        number = query["distance"]
        value = int(number) if number.isascii() and number.isdigit() and len(number) < 9 else number
        options["distance"] = DISTANCE.checked("distance", value, SamplingOutOfBounds)
    return CompareOptions(**options) if options else None


def _written_base_prompt(parts: BasePrompt) -> dict[str, str]:
    """The parts that are not as usual; an empty instruction cannot be told from one that is left out."""
    usual = BasePrompt()
    said = {name: getattr(parts, name) for name in LABELS if getattr(parts, name) != getattr(usual, name)}
    return said | ({} if parts.instruction == usual.instruction else _carried("instruction", parts.instruction))


def _written_options(options: CompareOptions) -> dict[str, str]:
    usual = CompareOptions()
    switched = [
        name if getattr(options, name) else f"no-{name}"
        for name in SWITCHES
        if getattr(options, name) != getattr(usual, name)
    ]
    text = {} if options.text == usual.text else _carried("text", options.text)
    distance = "" if options.distance == usual.distance else str(options.distance)
    return {"options": ",".join(switched), **text, "distance": distance}


def _short(name: str, text: str) -> str:
    if len(text) > LONGEST:
        raise TooLongForLink(name=TEXTS[name], characters=len(text), limit=LONGEST)
    return text


def _read_variant(text: str, models: Collection[str]) -> Variant | None:
    """What a text spells; a plus that was put into an address by hand arrives as a space."""
    return Variant.parse(text.replace(" ", "+") if _names_a_model(text, models) else text) if text else None


def _names_a_model(text: str, models: Collection[str]) -> bool:
    head = text.partition(" ")[0]
    return "@" in text or "/" in head or head.lower() in models


def _read_sampling(query: Mapping[str, str]) -> Sampling | None:
    values: dict[str, Any] = {}
    for name in (*BOUNDS, "seed"):
        if not query.get(name):
            continue
        try:
            values[name] = float(query[name])
        except ValueError:
            raise SamplingOutOfBounds(name=name, value=query[name][:40], wanted="a number") from None
    if query.get("stop"):  # one text a line, as in the page's box
        values["stop"] = read_stops(query["stop"])
    return Sampling(**values) if values else None


def _read_thinking(switch: str, budget: str) -> Thinking | None:
    try:
        tokens = int(budget) if budget else None
    except ValueError:
        raise SamplingOutOfBounds(name="thinking_budget", value=budget[:40], wanted="a number") from None
    return Thinking(switch or "auto", tokens) if switch or budget else None  # type: ignore[arg-type]


def parameters(name: str) -> list[str]:
    """The parameters of a link that say what a box of this name shows."""
    if name in SWITCHES:
        return ["options"]
    if name == "reference":  # it goes with the list that it is of
        return ["variants"]
    return [name, f"{name}{PACKED}"] if name in TEXTS else [name]


def restored(state: PageState) -> str:
    """What a link brought beside the variant that is picked, in a line; empty for nothing."""
    parts = {
        "the candidates": state.variants,
        "the conversation": state.conversation,
        "the prompt": state.prompt,
        "the system prompt": state.system,
        "the parts of a base model's prompt": state.base_prompt,
        "the sampling": state.sampling,
        "thinking": state.thinking,
        "the options of the comparison": state.options,
    }
    brought = [say(name) for name, value in parts.items() if value]
    return say("From the link: {parts}.", parts=say(", ").join(brought)) if brought else ""


def open_base_prompt(state: PageState) -> list[Any]:
    """Values for the controls of a BasePrompt, in the order of its fields; None leaves one as it is."""
    return [getattr(state.base_prompt, f.name) if state.base_prompt else gr.skip() for f in fields(BasePrompt)]


def write(state: PageState) -> str:
    """The query string of a state, without what is at its default; `read` gives the same state back.

    Raises TooLongForLink.
    """
    thinking = state.thinking or Thinking()
    sampling, usual = state.sampling or Sampling(), Sampling()
    changed = {name: value for name in (*BOUNDS, "seed") if (value := getattr(sampling, name)) != getattr(usual, name)}
    pairs = {
        "variant": str(state.variant or ""),
        **{name: str(value).removesuffix(".0") for name, value in changed.items()},
        "stop": write_stops(sampling.stop),
        "thinking": thinking.switch if thinking.switch != "auto" else "",
        "thinking_budget": "" if thinking.budget in (None, BUDGET.default) else str(thinking.budget),
        **_carried("system", state.system),
        **_carried("prompt", state.prompt),
        "variants": ",".join(map(str, state.variants[:MOST_VARIANTS])),
        "reference": str(state.reference or ""),
        "conversation": _written(state.conversation) if state.conversation else "",
        **_written_base_prompt(state.base_prompt or BasePrompt()),
        **_written_options(state.options or CompareOptions()),
        "hardware": state.hardware,
        "tab": state.tab,
    }
    said = {name: text for name, text in pairs.items() if text or name in LABELS}  # a label may be empty
    return urlencode(said, errors="replace")
