"""What a visitor asks for, before anything is resolved or loaded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from .errors import BadComparisonRequest, EmptyPrompt, SamplingOutOfBounds
from .messages import STOP_STRINGS_MAX, Message, Sampling
from .thinking import AS_IT_IS, Thinking
from .variant import Variant

MOST_PROMPTS = 20  # of one comparison
LONGEST_LABEL = 32  # characters of a question or answer label
DEFAULT_INSTRUCTION = "Below are questions, each followed by a short and correct answer."


@dataclass(frozen=True)
class BasePrompt:
    """The three visible parts that turn a conversation into text for a base model, which has no chat template."""

    instruction: str = DEFAULT_INSTRUCTION
    question: str = "Q:"
    answer: str = "A:"

    def __post_init__(self) -> None:
        for name, label in (("question", self.question), ("answer", self.answer)):
            if not isinstance(label, str) or len(label) > LONGEST_LABEL:
                wanted = f"at most {LONGEST_LABEL} characters"
                raise SamplingOutOfBounds(name=f"The {name} label", value=f"{label!s:.40}", wanted=wanted)

    def write(self, messages: Sequence[Message]) -> str:
        """The conversation as text that ends where the answer begins; a system message replaces the instruction.

        Without an answer label the answer continues the last line.
        """
        system = next((m.content for m in messages if m.role == "system"), self.instruction)
        label = {"user": self.question, "assistant": self.answer}
        turns = [_turn(label[m.role], m) for m in messages if m.role in label]
        between = "\n" if self.answer.strip() else ""
        blocks = [between.join(turns[i : i + 2]) for i in range(0, len(turns), 2)]
        line = f"\n{self.answer}" if self.answer.strip() else ""
        return "\n\n".join([*([system] if system.strip() else []), *blocks]) + line

    def ending(self, sampling: Sampling) -> Sampling:
        """The sampling, which also stops where the model would go on to ask the next question itself."""
        next_question = f"\n{self.question.strip()}"
        full = len(sampling.stop) >= STOP_STRINGS_MAX  # then the visitor's own stop strings are the ones that count
        if not self.question.strip() or next_question in sampling.stop or full or sampling.fixed_length:
            return sampling
        return replace(sampling, stop=(*sampling.stop, next_question))


AS_TEXT = BasePrompt("", "", "")  # a prompt is continued as it is


def _turn(label: str, message: Message) -> str:
    """A labelled message; an answer goes on where its label ended, so the space that it began with is the one."""
    begins = message.role == "assistant" and message.content[:1].isspace()
    between = "" if begins or not label.strip() else " "
    return f"{label if label.strip() else ''}{between}{message.content}"


@dataclass(frozen=True)
class ChatRequest:
    """The next answer of a conversation; an instruct model's own template is used, a base model gets `base_prompt`.

    Without `reuse`, nothing that was computed for an earlier turn is used, so that its figures are those of the whole.
    With a `schema`, the answer is JSON that follows it (json_schema.schema_text), and nothing is thought before it.
    """

    variant: Variant
    messages: tuple[Message, ...]
    sampling: Sampling = field(default_factory=Sampling)
    base_prompt: BasePrompt = field(default_factory=BasePrompt)
    reuse: bool = True
    thinking: Thinking = AS_IT_IS
    schema: str = ""


@dataclass(frozen=True)
class CompletionRequest:
    """The continuation of a text; the model is given exactly `prompt`. `reuse` and `schema` as of a ChatRequest."""

    variant: Variant
    prompt: str
    sampling: Sampling = field(default_factory=Sampling)
    reuse: bool = True
    schema: str = ""


@dataclass(frozen=True)
class CompareRequest:
    """The same question to several variants, each with a conversation of its own, `histories`, that ends with it.

    `reference` is one of the variants, or None. `text` is what quality is scored on, empty for none. With `one_pass`,
    variants of one base that differ by adapters only answer as one batch: sooner together, each of them slower. With
    `rivals`, each token of an answer is recorded with its probability and so many of the likeliest at its place. With
    more than one of `runs`, speeds are the median of so many, each of at least `TIMED_TOKENS` tokens, of which only
    the answer is shown. `further` are more prompts, each asked for itself with the system prompt of the first.
    """

    variants: tuple[Variant, ...]
    histories: tuple[tuple[Message, ...], ...]
    sampling: Sampling = field(default_factory=lambda: Sampling(temperature=0))
    base_prompt: BasePrompt = field(default_factory=BasePrompt)
    reference: Variant | None = None
    text: str = ""
    one_pass: bool = False
    rivals: int = 0
    runs: int = 1
    further: tuple[str, ...] = ()
    thinking: Thinking = AS_IT_IS

    @classmethod
    def of(
        cls, variants: Sequence[Variant], prompt: str | Sequence[str], system: str = "", **others: Any
    ) -> CompareRequest:
        """The first question of a comparison, or several that are asked for themselves."""
        opening = (Message("system", system),) if system.strip() else ()
        first, *further = [prompt] if isinstance(prompt, str) else prompt
        histories = ((*opening, Message("user", first)),) * len(variants)
        return cls(tuple(variants), histories, further=tuple(further), **others)


def read_prompts(text: str) -> tuple[str, ...]:
    """Prompts, one a line, blank lines left out; raises EmptyPrompt for none, BadComparisonRequest for too many."""
    prompts = tuple(line.strip() for line in text.splitlines() if line.strip())
    if not prompts:
        raise EmptyPrompt
    if len(prompts) > MOST_PROMPTS:
        raise BadComparisonRequest(reason=f"there are {len(prompts)} prompts, and at most {MOST_PROMPTS} can be asked")
    return prompts


Request = ChatRequest | CompletionRequest


def texts(request: Request) -> tuple[str, ...]:
    """All the text that a visitor brings."""
    if isinstance(request, CompletionRequest):
        return (request.prompt,)
    instruction = request.base_prompt.instruction
    own = () if instruction == DEFAULT_INSTRUCTION else (instruction,)
    return (*own, *(message.content for message in request.messages))


REFERENCE_TEXT = Path(__file__).with_name("reference_text.txt").read_text(encoding="utf-8").strip()
