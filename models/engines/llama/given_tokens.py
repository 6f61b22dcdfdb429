"""How likely each token of a given text is by llama.cpp, which tells that only of tokens that it writes.

Each is forced: for every position the server is asked for one token after those before it, with a bias that leaves it
no choice. What it then tells is of the raw logits, before any bias, and all that was computed for the tokens before is
kept, so a position costs one step of decoding.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from functools import cache
from typing import Any

from ...domain.errors import ContextExceeded, EngineFailed, NotFinite, TextTooShort
from .tokens import Tokens

FORCE = 1000.0  # added to a logit
# Where a token is read beside another: both above all others, and the other likelier by so many nats.
ABOVE, AHEAD = 100.0, 30.0
ONE_TOKEN = {"n_predict": 1, "stream": False, "cache_prompt": True, "temperature": 0, "samplers": [], "mirostat": 0}


def score(
    server: Any, tokens: Tokens, request: dict[str, Any], hand: Callable[[dict[str, Any]], None], stop: threading.Event
) -> None:
    """Hand on {ids, pieces}, then for each token but the first {log_prob, tokens, log_probs, names}.

    `request` has the prompt, `rendered`, `context`, how many of the likeliest `tokens` to tell of each position, and of
    how many of those the `names`, as bytes. Raises TextTooShort, ContextExceeded, NotFinite, EngineFailed.
    """
    ids = tokens.of(request["prompt"], request["rendered"])
    if len(ids) < 2:
        raise TextTooShort(tokens=len(ids))
    if len(ids) > request["context"]:
        raise ContextExceeded(prompt_tokens=len(ids), context=request["context"])
    hand({"ids": ids, "pieces": [list(piece) for piece in tokens.pieces(request["prompt"])]})
    name = cache(lambda token: list(tokens.name(token)))
    (whole,) = tokens.of("a", rendered=True)[-1:]  # a token that is no part of a character
    for place in range(1, len(ids)):
        if stop.is_set():
            return
        log_prob, best = _position(server, ids[:place], ids[place], request["likeliest"], whole)
        if log_prob is None or best[0]["logprob"] is None:  # JSON's spelling of NaN and infinity
            raise NotFinite(during="while scoring")
        hand(
            {
                "log_prob": log_prob,
                "tokens": [each["id"] for each in best],
                "log_probs": [each["logprob"] for each in best],
                "names": [each["bytes"] or name(each["id"]) for each in best[: request["names"]]],
            }
        )


def _position(server: Any, prompt: list[int], token: int, count: int, whole: int) -> tuple[Any, list[dict[str, Any]]]:
    """The log-probability of a token after a prompt, and what the server says of the likeliest `count`."""
    if told := _told(server, prompt, {token: FORCE}, count):
        return told["logprob"], told["top_logprobs"]
    # It begins a character that it does not end, and of such the server says nothing: it is read beside another token.
    told = _told(server, prompt, {whole: FORCE}, count)
    biases = {token: ABOVE, whole: ABOVE + AHEAD - told["logprob"]}
    beside = _told(server, prompt, biases, 2, post_sampling_probs=True)
    chances = {each["id"]: each["prob"] for each in beside.get("top_probs", ())}
    if not (chances.get(token) and chances.get(whole)):
        return None, told["top_logprobs"]
    return AHEAD + math.log(chances[token] / chances[whole]), told["top_logprobs"]


def _told(server: Any, prompt: list[int], biases: dict[int, float], count: int, **more: Any) -> dict[str, Any]:
    """What the server says of the one token that it writes; empty where it says nothing."""
    chunks: list[dict[str, Any]] = []
    request = {**ONE_TOKEN, "prompt": prompt, "logit_bias": [*map(list, biases.items())], "n_probs": count, **more}
    server.handle_completions(request, lambda chunk: chunks.append(chunk))  # None: go on
    for chunk in chunks:
        if error := chunk.get("error"):
            raise EngineFailed(detail=str(error.get("message", "unknown"))[:200])
        for choice in chunk.get("choices", ()):
            if told := (choice.get("logprobs") or {}).get("content"):
                return dict(told[0])
    return {}
