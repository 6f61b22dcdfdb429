"""Decode speed and time to the first token of two checkouts, in turns: python -m tests.bench.versions OLD NEW [ROUNDS].

Each answer is a process of its own with the command line; a ratio above 1 says that NEW decodes faster.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from typing import Any

MODEL = "smollm2-135m-instruct"
SENTENCE = "The harbour was quiet that morning, and the old keeper counted boats as he had done for forty years. "
SHORT, LONG = "Tell me a very long story about a fox and a crow.", SENTENCE * 60 + "Tell me a long story about it."
CASES = {
    **{mode: (f"{MODEL}@{mode}", SHORT) for mode in ("fp32", "bf16", "int8", "nf4", "dynamic-int8", "gguf")},
    **{f"{mode}, long prompt": (f"{MODEL}@{mode}", LONG) for mode in ("bf16", "nf4")},
    "fp32+pirate": (f"{MODEL}@fp32+pirate", SHORT),
    "bf16+pirate": (f"{MODEL}@bf16+pirate", SHORT),
    "nf4+pirate+json": (f"{MODEL}@nf4+pirate+json", SHORT),
}


def answer(folder: str, variant: str, prompt: str) -> dict[str, Any]:
    """The usage of one greedy answer of at most 128 tokens, computed by the checkout in `folder`."""
    words = ["chat", prompt, "--variant", variant, "--max-new-tokens", "128", "--temperature", "0", "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "models", *words], cwd=folder, capture_output=True, text=True, check=True
    )
    usage: dict[str, Any] = json.loads(done.stdout)["usage"]
    return usage


def main(old: str, new: str, rounds: int = 3) -> None:
    """Print a line a case: both speeds, their ratio, and that of the times to the first token."""
    usages: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for number in range(rounds):
        for case, (variant, prompt) in CASES.items():
            for folder in (old, new) if number % 2 == 0 else (new, old):
                usages.setdefault((case, folder), []).append(answer(folder, variant, prompt))

    def median(case: str, folder: str, figure: str) -> float:
        return statistics.median(usage[figure] for usage in usages[case, folder])

    print("| case | old, tok/s | new, tok/s | ratio | TTFT ratio |\n| --- | ---: | ---: | ---: | ---: |")
    for case in CASES:
        before, after = (median(case, folder, "decode_tokens_per_s") for folder in (old, new))
        first = median(case, new, "ttft_s") / median(case, old, "ttft_s")
        print(f"| {case} | {before:.1f} | {after:.1f} | {after / before:.2f} | {first:.2f} |")


if __name__ == "__main__":
    main(*sys.argv[1:3], *map(int, sys.argv[3:4]))
