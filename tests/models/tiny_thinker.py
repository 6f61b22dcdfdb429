"""A tiny model that thinks before it answers, whose every token is known beforehand."""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path

from tiny_tokenizers import byte_level, forced, save

from models.engines.transformers.engine_thread import engine_thread

# The marks are special tokens, as those of gpt-oss and Gemma 4 are, which are shown nowhere else.
TOKENS = ("<s>", "</s>", "<|user|>", "<|assistant|>", "<think>", "</think>")
TEMPLATE = (
    "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{% endfor %}"
    "{{ '' if messages[-1].content == '?' else '<|assistant|>' }}"
    "{% if enable_thinking is defined and not enable_thinking %}<think></think>{% endif %}"
)
THOUGHT, ANSWER = "abcde", "vwxyz"


def build(folder: Path, thought: str = THOUGHT, answer: str = ANSWER) -> Path:
    """It thinks, answers and ends; asked "?" it answers at once, and after an A it writes BCA for ever.

    No character of `thought` and `answer` may come twice.
    """
    whole = ["<|assistant|>", "<think>", *thought, "</think>", *answer, "</s>"]
    chains = (whole, ["?", answer[0]], ["\n", answer[0]], ["A", "B", "C", "A"])
    return write(folder, TOKENS, chains, chat_template=TEMPLATE)


def write(folder: Path, tokens: Sequence[str], chains: Iterable[Sequence[str]], **options: str) -> Path:
    """A model that writes after each token the one that follows it in a chain, else the second of `tokens`."""
    tokenizer = byte_level(tuple(tokens))
    save(tokenizer, folder, **options)
    chain: dict[int, int] = {}
    for words in chains:
        chain |= dict(pairwise(number for word in words for number in tokenizer.encode(word).ids))
    engine_thread().run(lambda: forced(folder, tokenizer.get_vocab_size(), chain, default=1))
    return folder
