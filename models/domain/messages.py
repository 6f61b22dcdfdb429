"""What goes to a model and what comes back: messages, sampling, and the events of one stream."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from itertools import pairwise
from typing import Any, Literal, NamedTuple, get_args

from .errors import BadHistory, PaddockError, SamplingOutOfBounds, from_dict

Role = Literal["system", "user", "assistant"]
ThoughtEnd = Literal["", "open", "closed", "budget"]
Finish = Literal["stop", "length", "stop_string", "cancelled", "time_limit", "error"]


@dataclass(frozen=True)
class Message:
    """One turn of a conversation."""

    role: Role
    content: str


class Bound(NamedTuple):
    """The range of one number that a visitor sets; the page draws sliders, the command line options from it."""

    low: float
    high: float
    step: float
    default: float
    whole: bool

    def checked(self, name: str, value: Any, refusal: type[PaddockError]) -> float:
        """The value, whole where it has to be; raises `refusal` for one that is out of bounds, or no number."""
        good = isinstance(value, int | float) and not isinstance(value, bool)
        if not good or not self.low <= value <= self.high or (self.whole and value != int(value)):  # NaN is nowhere
            wanted = f"a {'whole ' if self.whole else ''}number from {self.low:g} to {self.high:,.10g}"
            raise refusal(name=name, value=str(value)[:40], wanted=wanted)
        return int(value) if self.whole else float(value)


def bounded(default: float, low: float, high: float, step: float = 1) -> Any:
    """A dataclass's field for such a number, whole where its default is."""
    return field(default=default, metadata={"bound": Bound(low, high, step, default, isinstance(default, int))})


def bounds_of(kind: type) -> dict[str, Bound]:
    """By name, of all such fields of a dataclass."""
    return {f.name: f.metadata["bound"] for f in fields(kind) if "bound" in f.metadata}


SEED_MAX = 2**31 - 1
SEED = Bound(0, SEED_MAX, 1, 0, whole=True)
STOP_STRINGS_MAX, STOP_STRING_LENGTH = 8, 64


@dataclass(frozen=True)
class Sampling:
    """How the next token is chosen, checked at birth.

    Temperature 0 is greedy; `top_k` 0, `top_p` 1 and `min_p` 0 switch the filter off; `seed` None is a fresh one.
    Raises SamplingOutOfBounds.
    """

    max_new_tokens: int = bounded(512, 1, 4096)
    temperature: float = bounded(0.7, 0.0, 2.0, step=0.05)
    top_p: float = bounded(0.95, 0.05, 1.0, step=0.05)
    top_k: int = bounded(50, 0, 200)
    min_p: float = bounded(0.0, 0.0, 1.0, step=0.01)
    repetition_penalty: float = bounded(1.0, 1.0, 2.0, step=0.05)
    seed: int | None = None
    stop: Sequence[str] = ()

    def __post_init__(self) -> None:
        for name, bound in BOUNDS.items():
            object.__setattr__(self, name, bound.checked(name, getattr(self, name), SamplingOutOfBounds))
        if self.seed is not None:
            object.__setattr__(self, "seed", SEED.checked("seed", self.seed, SamplingOutOfBounds))
        object.__setattr__(self, "stop", _checked_stop(self.stop))

    @property
    def greedy(self) -> bool:
        return self.temperature == 0

    @property
    def repeats(self) -> bool:
        """Whether the very same answer is asked for each time: a seed was given, with whatever temperature."""
        return self.seed is not None

    @property
    def fixed_length(self) -> bool:
        """Whether no end token ends the answer before its limit."""
        return False


@dataclass(frozen=True)
class FixedLength(Sampling):
    """The same for an answer of `max_new_tokens` tokens, whatever the model would rather do: its speed is measured."""

    @property
    def fixed_length(self) -> bool:
        return True


BOUNDS = bounds_of(Sampling)


def _checked_stop(stop: Any) -> tuple[str, ...]:
    wanted = f"at most {STOP_STRINGS_MAX} texts of 1 to {STOP_STRING_LENGTH} characters"
    if isinstance(stop, str) or not isinstance(stop, Sequence):
        raise SamplingOutOfBounds(name="stop", value=str(stop)[:40], wanted=wanted)
    for text in stop:
        if not isinstance(text, str) or not 1 <= len(text) <= STOP_STRING_LENGTH:
            raise SamplingOutOfBounds(name="stop", value=str(text)[:40], wanted=wanted)
    if len(stop) > STOP_STRINGS_MAX:
        raise SamplingOutOfBounds(name="stop", value=f"{len(stop)} texts", wanted=wanted)
    return tuple(stop)


def read_history(posted: Any) -> tuple[Message, ...]:
    """Messages from what a page or a program posted, with nothing forged let through.

    Content may be text, or a list of text parts as Gradio's Chatbot sends them; parts of any other kind are refused.
    Messages with a metadata title (the page's own notes under an answer) are left out. Raises BadHistory.
    """
    if not isinstance(posted, list | tuple):
        raise BadHistory(reason="it is not a list of messages")
    messages = []
    for number, item in enumerate(posted, 1):
        if not isinstance(item, dict):
            raise BadHistory(reason=f"message {number} is not an object with role and content")
        metadata = item.get("metadata")
        if isinstance(metadata, dict) and metadata.get("title"):
            continue
        if item.get("role") not in ("user", "assistant"):
            raise BadHistory(reason=f"message {number} has the role “{str(item.get('role'))[:40]}”")
        messages.append(Message(item["role"], _text_of(item.get("content"), number)))
    for earlier, later in pairwise(messages):
        if earlier.role == later.role:
            raise BadHistory(reason=f"two {later.role} messages follow each other")
    if messages and messages[0].role != "user":
        raise BadHistory(reason="it starts with an answer")
    return tuple(messages)


def _text_of(content: Any, number: int) -> str:
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list | tuple) else [content]
    texts = []
    for part in parts:
        if isinstance(part, str):
            texts.append(part)
        elif isinstance(part, dict) and part.get("type") == "text" and isinstance(part.get("text"), str):
            texts.append(part["text"])
        else:
            raise BadHistory(reason=f"message {number} contains something that is not text")
    return "".join(texts)


# --- the events of one stream -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Usage:
    """What an answer cost so far; `finish` is None until the last delta. Seconds, tokens, bytes.

    Of the `new_tokens`, the first `thought_tokens` are a thought with its marks, in `thought_s`; `thinking` says
    whether the model closed it, or its budget did. It is empty where there was none.
    """

    variant: str = ""
    engine: str = ""
    prompt_tokens: int = 0
    cached_tokens: int = 0
    new_tokens: int = 0
    context: int = 0
    ttft_s: float = 0.0
    prefill_tokens_per_s: float = 0.0
    decode_tokens_per_s: float = 0.0
    wall_s: float = 0.0
    load_s: float = 0.0
    peak_bytes: int = 0
    seed: int | None = None
    finish: Finish | None = None
    batch: int = 1  # answers that were computed at once: a speed is that of a row of so many
    adapters: tuple[str, ...] = ()  # that acted, with their weights, as read from the model
    origin: str = ""  # of the weights, as a Snapshot says it
    notes: tuple[str, ...] = ()  # what of the visitor's words the model was not given as they put them
    thought_tokens: int = 0
    thought_s: float = 0.0
    thinking: ThoughtEnd = ""


@dataclass(frozen=True)
class Delta:
    """A piece of an answer, never half a character, with the usage as of now; `row` is its place in a batch."""

    text: str
    usage: Usage = field(default_factory=Usage)
    row: int = 0


@dataclass(frozen=True)
class Thought:
    """A piece of what a model thinks before it answers, as a Delta; `written` is the same with marks and blanks."""

    text: str
    written: str = ""
    usage: Usage = field(default_factory=Usage)
    row: int = 0


@dataclass(frozen=True)
class Progress:
    """What is being done before the first token; `total` 0 means that it is not known."""

    stage: Literal[
        "waiting",
        "download",
        "verify",
        "convert",
        "read",
        "quantize",
        "warm up",
        "prefill",
        "think",
        "time",
        "score",
        "merge",
        "train",
        "evaluate",
        "hash",
        "upload",
    ]
    done: float = 0
    total: float = 0
    unit: Literal["bytes", "tensors", "layers", "tokens", "seconds", "steps", ""] = ""
    detail: str = ""


@dataclass(frozen=True)
class Rendered:
    """The exact text that the model is given; sent once, before the first delta."""

    prompt: str


@dataclass(frozen=True)
class Scored:
    """How likely a model finds a text: one entry a token, but for the first where nothing stands before it.

    `log_probabilities` are natural; `likeliest` says whether the token is the one that greedy decoding takes. Against
    a reference: `agrees` where both find the same token likeliest, `divergences` KL(reference, this) in nats.
    `bytes` are those of the scored tokens' text in UTF-8, `offset` the tokens before the first entry. `rivals` are the
    likeliest tokens at each place with their probabilities, where they were asked for. With `at_least` the divergences
    are lower bounds, since one side does not tell the whole distribution.
    """

    variant: str = ""
    tokens: tuple[str, ...] = ()
    log_probabilities: tuple[float, ...] = ()
    likeliest: tuple[bool, ...] = ()
    bytes: int = 0
    offset: int = 0
    agrees: tuple[bool, ...] = ()
    divergences: tuple[float, ...] = ()
    rivals: tuple[tuple[tuple[str, float], ...], ...] = ()
    at_least: bool = False


Event = Delta | Thought | Progress | Rendered | Scored
_KINDS: dict[str, type] = {kind.__name__.lower(): kind for kind in get_args(Event)}
END = {"kind": "end"}


def to_wire(event: Event | PaddockError) -> dict[str, Any]:
    """An event or error as plain data, for a process boundary."""
    if isinstance(event, PaddockError):
        return {"kind": "error", **event.to_dict()}
    return {"kind": type(event).__name__.lower(), **asdict(event)}


def from_wire(data: dict[str, Any]) -> Event:
    """The event behind plain data; raises the PaddockError if it is one."""
    if data["kind"] == "error":
        raise from_dict(data)
    cls = _KINDS[data["kind"]]
    values = {f.name: data[f.name] for f in fields(cls)}
    if cls in (Delta, Thought):
        lists = {name: tuple(values["usage"].get(name, ())) for name in ("adapters", "notes")}
        values["usage"] = Usage(**values["usage"] | lists)
    return cls(**values)
