"""What a visitor asks for, before anything is resolved or loaded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from .messages import Message, Sampling
from .variant import Variant

DEFAULT_INSTRUCTION = "Below are questions, each followed by a short and correct answer."


@dataclass(frozen=True)
class BasePrompt:
    """The three visible parts that turn a conversation into text for a base model, which has no chat template."""

    instruction: str = DEFAULT_INSTRUCTION
    question: str = "Q:"
    answer: str = "A:"

    def write(self, messages: Sequence[Message]) -> str:
        """The conversation as text that ends where the answer begins; a system message replaces the instruction."""
        system = next((m.content for m in messages if m.role == "system"), self.instruction)
        label = {"user": self.question, "assistant": self.answer}
        turns = [f"{label[m.role]} {m.content}".strip() for m in messages if m.role in label]
        blocks = ["\n".join(turns[i : i + 2]) for i in range(0, len(turns), 2)]
        return "\n\n".join([*([system] if system.strip() else []), *blocks]) + f"\n{self.answer}"

    def ending(self, sampling: Sampling) -> Sampling:
        """The sampling, which also stops where the model would go on to ask the next question itself."""
        next_question = f"\n{self.question.strip()}"
        if not self.question.strip() or next_question in sampling.stop:
            return sampling
        return replace(sampling, stop=(*sampling.stop, next_question))


@dataclass(frozen=True)
class ChatRequest:
    """The next answer of a conversation; an instruct model's own template is used, a base model gets `base_prompt`."""

    variant: Variant
    messages: tuple[Message, ...]
    sampling: Sampling = field(default_factory=Sampling)
    base_prompt: BasePrompt = field(default_factory=BasePrompt)


@dataclass(frozen=True)
class CompletionRequest:
    """The continuation of a text; the model is given exactly `prompt`."""

    variant: Variant
    prompt: str
    sampling: Sampling = field(default_factory=Sampling)


Request = ChatRequest | CompletionRequest


def characters(request: Request) -> int:
    """How much text a request brings."""
    if isinstance(request, CompletionRequest):
        return len(request.prompt)
    return sum(len(message.content) for message in request.messages)
