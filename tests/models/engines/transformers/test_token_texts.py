"""The text of a token depends on its neighbours: what is written goes on the prompt, and scored tokens are the text."""

from itertools import pairwise

import pytest
from tiny_tokenizers import byte_level, forced, save, sentence_piece, starting

from models.domain.engine import Prompt
from models.domain.errors import UnknownToken
from models.domain.messages import Sampling, Scored
from models.engines.text_stream import Detokenizer
from models.engines.transformers.engine_thread import engine_thread
from models.engines.transformers.tokens import bytes_of, tokenize

TEXT = "Once upon a time, 😀 é 漢字 there"


@pytest.fixture(scope="module", params=[byte_level, sentence_piece])
def saved(request, tmp_path_factory):
    """A tokenizer, and the folder of a model that writes "Once upon a time there was a fox" by heart."""
    folder = tmp_path_factory.mktemp("tokens")

    def work():
        tokenizer = save(request.param(), folder)
        tale = tokenizer("Once upon a time there was", add_special_tokens=False)["input_ids"]
        forced(folder, len(tokenizer), dict(pairwise(tale)), default=2)
        return tokenizer

    return engine_thread().run(work), folder


def test_prompt_and_continuation_are_the_text_that_the_model_wrote(saved, opened):
    _, folder = saved
    engine = opened(folder)
    for prompt in ("Once", "Once upon a", "Once upon a time there"):
        deltas = list(engine.generate(Prompt(prompt), Sampling(max_new_tokens=20, temperature=0)))
        assert prompt + "".join(delta.text for delta in deltas) == "Once upon a time there was"
    engine.close()


def test_an_answer_in_a_chat_begins_a_text_of_its_own(saved, opened):
    tokenizer, folder = saved
    engine = opened(folder)
    deltas = list(engine.generate(Prompt("Once upon a", rendered=True), Sampling(max_new_tokens=20, temperature=0)))
    written = tokenizer(" time there was", add_special_tokens=False)["input_ids"][-3:]
    assert "".join(delta.text for delta in deltas) == tokenizer.decode(written)
    engine.close()


@pytest.mark.parametrize("text", [TEXT, "Once", "é", "😀", " Once  upon ", "Once\ufffd upon\ufffd"])
def test_scored_tokens_joined_are_the_text(saved, opened, text):
    tokenizer, folder = saved
    engine = opened(folder)
    ids = tokenize(tokenizer, Prompt(text))
    if len(ids) > 1:
        *_, found = engine.score(Prompt(text), rivals=3)
        assert isinstance(found, Scored)
        first = "" if ids[0] == tokenizer.bos_token_id else tokenizer.decode(ids[:1]).rstrip("\ufffd")
        assert first + "".join(found.tokens) == text
        assert found.bytes == len(text.encode()) - len(first.encode())
    engine.close()


def test_rivals_have_the_blanks_of_their_place(saved, opened):
    _, folder = saved
    engine = opened(folder)
    *_, found = engine.score(Prompt("Once upon a time there was"), rivals=1)
    assert [best[0][0] for best in found.rivals[-4:]] == [" a", " time", " there", " was"]
    engine.close()


def test_a_replacement_character_that_was_written_stays_and_an_unfinished_one_goes(saved):
    tokenizer, _ = saved

    def streamed(ids):
        stream = Detokenizer(lambda part: tokenizer.decode(part), bytes_of(tokenizer))
        return "".join(map(stream.push, ids)) + stream.finish()

    def ids(text):
        return tokenizer(text, add_special_tokens=False)["input_ids"]

    for text in ("a\ufffd", "\ufffd", "a\ufffd\ufffd", "\ufffdb"):
        assert streamed(ids(text)) == text
    assert streamed(ids("a😀")[:-1]) == "a"
    assert streamed(ids("a\ufffd😀")[:-1]) == "a\ufffd"


@pytest.mark.parametrize("closing", [False, True])
def test_a_prompt_is_what_is_written_plus_at_most_one_start_token(tmp_path, closing):
    tokenizer = engine_thread().run(lambda: save(starting(byte_level(), closing), tmp_path))
    bare = tokenizer("Once upon", add_special_tokens=False)["input_ids"]
    start = tokenizer.bos_token_id
    assert tokenize(tokenizer, Prompt("Once upon")) == [start, *bare]
    assert tokenize(tokenizer, Prompt("<s>Once upon")) == [start, *bare], "a pasted one counts once"
    assert tokenize(tokenizer, Prompt("<s>Once upon", rendered=True)) == [start, *bare]
    assert tokenize(tokenizer, Prompt("Once upon", rendered=True)) == bare, "a template spells its own, or none"
    assert tokenize(tokenizer, Prompt("Once upon</s>")) == [start, *bare, tokenizer.eos_token_id], "as it is written"
    plain = engine_thread().run(lambda: save(byte_level(), tmp_path))
    assert tokenize(plain, Prompt("Once upon")) == bare, "a tokenizer that names one and puts none"


def test_a_token_that_was_added_for_nothing_is_told_and_not_computed(tmp_path, opened):
    def work():
        tokenizer = byte_level()
        forced(tmp_path, tokenizer.get_vocab_size(), {}, default=2)
        tokenizer.add_special_tokens(["<image>"])
        save(tokenizer, tmp_path)

    engine_thread().run(work)
    engine = opened(tmp_path)
    with pytest.raises(UnknownToken, match="<image>"):
        list(engine.generate(Prompt("Once <image> upon"), Sampling(max_new_tokens=2)))
    with pytest.raises(UnknownToken):
        list(engine.score(Prompt("Once <image> upon")))
    engine.close()
