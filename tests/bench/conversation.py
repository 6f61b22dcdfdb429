"""What the second turn and the eighth visitor wait for."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Iterator

from .client import Answer, at_once, connect, greedy
from .processes import SMOLLM2, Stage
from .report import Row, print_rows, print_table, quiet_watch

WORDS = ["river", "stone", "window", "garden", "morning", "letter", "table", "silver", "winter", "market", "bridge"]
WORDS += ["island", "forest", "candle", "paper", "mirror", "doctor", "engine", "planet", "bottle", "teacher", "village"]
TURNS, TURN_WORDS, TURN_ANSWER = 5, 230, 64  # about 300 tokens a turn
VISITORS, VISITOR_TOKENS = 8, 64


def turns(stage: Stage, repeats: int, words: int = TURN_WORDS) -> None:
    """TTFT of each turn against that of its new tokens alone and of the whole when nothing is reused.

    Once in a conversation alone, and once with two other visitors' requests between its turns.
    """
    for mode in ("gguf", "fp32"):
        print(f"### turns: time to first token, {SMOLLM2}@{mode}\n")
        texts = _Texts(mode, words)
        with quiet_watch(), stage.only(stage.app.process):
            greedy(stage.client, "Hello", f"{SMOLLM2}@{mode}", 4)
            alone: list[list[list[Answer]]] = []
            among: list[list[list[Answer]]] = []
            for _ in range(repeats):
                alone.append(list(_conversation(stage, f"{SMOLLM2}@{mode}", texts, others=False)))
                among.append(list(_conversation(stage, f"{SMOLLM2}@{mode}", texts, others=True)))
            header = ["turn", "TTFT, reused of prompt", "new tokens alone", "ratio", "no reuse", "ratio"]
            print_table([*header, "turn with others between"], [_cells(turn, alone, among) for turn in range(TURNS)])


def _cells(turn: int, alone: list[list[list[Answer]]], among: list[list[list[Answer]]]) -> list[str]:
    ours = [each[turn][0] for each in alone]
    busy, fresh, whole = ([each[turn][place] for each in among] for place in range(3))
    return [
        str(turn + 1),
        _waited(ours),
        _waited(fresh),
        f"{_ttft(ours) / _ttft(fresh):.2f}",
        _waited(whole),
        f"{_ttft(ours) / _ttft(whole):.2f}",
        _waited(busy),
    ]


def _ttft(answers: list[Answer]) -> float:
    return statistics.median(answer.ttft_s for answer in answers)


def _waited(answers: list[Answer]) -> str:
    reused, prompt = (
        statistics.median(answer.usage[key] for answer in answers) for key in ("cached_tokens", "prompt_tokens")
    )
    return f"{_ttft(answers):.2f} s, {reused:.0f} of {prompt:.0f}"


class _Texts:
    """Messages of one size that have no beginning in common."""

    def __init__(self, seed: str, words: int) -> None:
        self._draws, self._words = random.Random(seed), words

    def system(self) -> str:
        return f"{self._draws.randrange(10**6)} {' '.join(self._draws.choices(WORDS, k=10))}"

    def message(self) -> str:
        words = " ".join(self._draws.choices(WORDS, k=self._words))
        return f"{self._draws.randrange(10**6)} {words}. What do you think of that?"


def _conversation(stage: Stage, variant: str, texts: _Texts, others: bool) -> Iterator[list[Answer]]:
    """Each turn; with others, also a fresh request of the same size, and the same turn where nothing is known."""
    history: list[dict[str, str]] = []
    for _ in range(TURNS):
        message = texts.message()
        turn = greedy(stage.client, message, variant, TURN_ANSWER, history=history)
        asked = [turn]
        if others:
            asked.append(greedy(stage.client, texts.message(), variant, 2))
            # Another system prompt, so that nothing computed before has the same beginning.
            asked.append(greedy(stage.client, message, variant, 2, history=history, system=texts.system()))
        yield asked
        history += [{"role": "user", "content": message}, {"role": "assistant", "content": turn.text}]


def visitors(stage: Stage, repeats: int, new_tokens: int = VISITOR_TOKENS) -> None:
    """Eight visitors at once against the same eight one after another."""
    variant = f"{SMOLLM2}@gguf"
    print(f"### visitors: {VISITORS} at once, {new_tokens} new tokens each, {variant}, {stage.settings.slots} slots\n")
    draws = random.Random(0)
    stage.client.view_api(print_info=False)
    clients = [connect(stage.app.url) for _ in range(VISITORS)]
    speeds: dict[str, list[float]] = {"at once": [], "one by one": []}
    waits: dict[str, list[float]] = {"at once": [], "one by one": []}
    client_cpu = []
    with quiet_watch(), stage.only(stage.app.process):
        for _ in range(repeats):
            texts = [f"Tell me a long story about a {' and a '.join(draws.sample(WORDS, 3))}." for _ in clients]
            cpu = time.process_time()
            answers, seconds = at_once(clients, texts, variant, new_tokens)
            client_cpu.append((time.process_time() - cpu) / seconds)
            _note(answers, seconds, speeds["at once"], waits["at once"])
            texts = [f"{text} Begin with the weather." for text in texts]
            started = time.perf_counter()
            answers = [greedy(client, text, variant, new_tokens) for client, text in zip(clients, texts, strict=True)]
            _note(answers, time.perf_counter() - started, speeds["one by one"], waits["one by one"])
        single, together = (statistics.median(speeds[way]) for way in ("one by one", "at once"))
        print_rows(
            [
                Row("one after another: total", f"{single:.1f} tok/s"),
                Row("at once: total", f"{together:.1f} tok/s", together / single),
                Row("one after another: median TTFT of an answer", f"{statistics.median(waits['one by one']):.2f} s"),
                Row("at once: median TTFT", f"{statistics.median(waits['at once']):.2f} s"),
                Row("at once: CPU of the eight clients themselves", f"{statistics.median(client_cpu):.2f} cores"),
            ]
        )


def _note(answers: list[Answer], seconds: float, speeds: list[float], waits: list[float]) -> None:
    speeds.append(sum(answer.tokens for answer in answers) / seconds)
    waits.append(statistics.median(answer.ttft_s for answer in answers))
