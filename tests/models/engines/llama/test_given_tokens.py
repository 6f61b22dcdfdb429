"""How a given token is forced and read, with a server that tells what it was asked and what llama.cpp would say."""

import math
import threading

import pytest

from models.domain.errors import EngineFailed, NotFinite, TextTooShort
from models.engines.llama.given_tokens import score
from models.engines.llama.tokens import Tokens

PIECES = {0: b"", 1: b"a", 2: b" b", 3: b"\xf0\x9f", 4: b"\x98\x80", 5: b""}
LOGITS = {0: 0.0, 1: 1.0, 2: 0.5, 3: -6.0, 4: -1.0, 5: 2.0}
TOTAL = math.log(sum(map(math.exp, LOGITS.values())))


def tokenized(path, body):
    if path == "/detokenize":
        return {"content": "<|end|>"}
    ids = [1] if body["content"] == "a" else [1, 2, 3, 4, 5]
    if not body.get("with_pieces"):
        return {"tokens": ids}
    return {"tokens": [{"id": each, "piece": list(PIECES[each])} for each in ids]}


class Server:
    """The same logits at each position; like llama.cpp, it says nothing of a token that leaves a character open."""

    def __init__(self, logits=LOGITS, error=None):
        self.asked, self._logits, self._error = [], logits, error

    def handle_completions(self, request, on_chunk):
        self.asked.append(request)
        if self._error:
            on_chunk({"error": {"message": self._error}})
            return
        biased = {
            token: value + dict(map(tuple, request["logit_bias"])).get(token, 0) for token, value in LOGITS.items()
        }
        written = max(biased, key=biased.get)
        total = math.log(sum(math.exp(value - max(biased.values())) for value in biased.values())) + max(
            biased.values()
        )
        if request.get("post_sampling_probs"):
            ranked = sorted(biased, key=biased.get, reverse=True)[: request["n_probs"]]
            told = {"top_probs": [{"id": each, "prob": math.exp(biased[each] - total)} for each in ranked]}
        else:
            ranked = sorted(LOGITS, key=LOGITS.get, reverse=True)[: request["n_probs"]]
            best = [self._entry(each) for each in ranked]
            told = {**self._entry(written), "top_logprobs": best}
        on_chunk({"choices": [{"logprobs": None if written == 3 else {"content": [{"id": written, **told}]}}]})

    def _entry(self, token):
        value = self._logits[token]
        log_prob = None if value is None else value - TOTAL
        return {"id": token, "bytes": list(PIECES[token]), "logprob": log_prob}


def scores(server, stop=None, text="a b", **more):
    told, request = [], {"prompt": text, "rendered": True, "context": 64, "likeliest": 4, "names": 2} | more
    score(server, Tokens(tokenized, ""), request, told.append, stop or threading.Event())
    return told


def test_each_token_but_the_first_is_forced_after_those_before_it():
    server = Server()
    first, *places = scores(server)
    assert first["ids"] == [1, 2, 3, 4, 5]
    assert [place["log_prob"] for place in places] == pytest.approx([LOGITS[n] - TOTAL for n in (2, 3, 4, 5)])
    assert [len(asked["prompt"]) for asked in server.asked] == [1, 2, 2, 2, 3, 4]
    assert all(place["tokens"] == [5, 1, 2, 0] for place in places)
    assert places[0]["names"] == [list(b"<|end|>"), list(b"a")], "a special token by its name"


def test_a_token_that_leaves_a_character_open_is_read_beside_another():
    server = Server()
    place = scores(server)[2]
    assert place["log_prob"] == pytest.approx(LOGITS[3] - TOTAL)
    forced, whole, beside = [asked for asked in server.asked if asked["prompt"] == [1, 2]]
    assert [token for token, _ in whole["logit_bias"]] == [1]
    assert {token for token, _ in beside["logit_bias"]} == {1, 3}
    assert forced["logit_bias"][0][0] == 3


def test_what_is_no_number_and_what_the_server_reports_are_errors():
    with pytest.raises(NotFinite):
        scores(Server({**LOGITS, 2: None}))
    with pytest.raises(EngineFailed, match="decode failed"):
        scores(Server(error="decode failed"))
    with pytest.raises(TextTooShort):
        scores(Server(), text="a")


def test_a_stop_is_obeyed_before_the_next_token():
    stop = threading.Event()
    stop.set()
    server = Server()
    assert len(scores(server, stop)) == 1
    assert server.asked == []
