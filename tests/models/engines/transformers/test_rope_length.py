"""Position encodings that depend on the whole length give what one forward pass over the whole text gives."""

import pytest
from tiny_tokenizers import byte_level, save

from models.domain.engine import Prompt
from models.domain.messages import Sampling
from models.engines.transformers import scoring
from models.engines.transformers.engine_thread import engine_thread

SWITCH = 600  # tokens: more than one chunk of a prompt
WORD = " fox"
LONGROPE = {
    "rope_type": "longrope",
    "rope_theta": 10000.0,
    "short_factor": [1.0] * 8,
    "long_factor": [1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 8.0],
    "original_max_position_embeddings": SWITCH,
}


def build(folder, kind):
    import torch
    from transformers import AutoModelForCausalLM, LlamaConfig, Phi3Config

    torch.manual_seed(3)
    tokenizer = save(byte_level(), folder)
    sizes = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4}
    sizes |= {"num_key_value_heads": 2, "vocab_size": len(tokenizer), "initializer_range": 0.3, "pad_token_id": 0}
    sizes |= {"bos_token_id": 0, "eos_token_id": 1, "tie_word_embeddings": False}
    if kind == "phi3":
        rope = LONGROPE | {"partial_rotary_factor": 1.0}
        config = Phi3Config(
            max_position_embeddings=2048, original_max_position_embeddings=SWITCH, rope_parameters=rope, **sizes
        )
    elif kind == "llama":
        config = LlamaConfig(max_position_embeddings=2048, rope_parameters=LONGROPE, **sizes)
    else:
        rope = {"rope_type": "dynamic", "rope_theta": 10000.0, "factor": 4.0}
        config = LlamaConfig(max_position_embeddings=SWITCH, rope_parameters=rope, **sizes)
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)


@pytest.fixture(scope="module", params=["phi3", "llama", "dynamic"])
def folder(request, tmp_path_factory):
    found = tmp_path_factory.mktemp(request.param)
    engine_thread().run(lambda: build(found, request.param))
    return found


@pytest.fixture
def engine(folder, opened):
    engine = opened(folder, context=2048)
    engine.context = 2048  # a model of dynamic NTK says how long texts are that it needs no stretching for
    yield engine
    engine.close()


def plain(folder):
    """The model as transformers loads it, which has seen no other text."""
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(folder).eval()


def text_of(tokens):
    return "Once" + WORD * (tokens - 1)


def answer(engine, text, tokens=6, **options):
    deltas = list(engine.generate(Prompt(text), Sampling(max_new_tokens=tokens, temperature=0), **options))
    return "".join(delta.text for delta in deltas), deltas[-1].usage


def in_one_pass(folder, text, tokens=6):
    """Greedy tokens, each by a forward pass over all of the text so far."""

    def work():
        import torch

        model, tokenizer = plain(folder), tokenizer_of(folder)
        ids = start = tokenizer(text, return_tensors="pt").input_ids
        for _ in range(tokens):
            with torch.inference_mode():
                following = model(input_ids=ids, use_cache=False).logits[0, -1].argmax()
            ids = torch.cat([ids, following.view(1, 1)], dim=1)
            if int(following) == 1:
                break
        whole, before = (tokenizer.decode(part[0], skip_special_tokens=True) for part in (ids, start))
        return whole[len(before) :], start.shape[1]

    return engine_thread().run(work)


def tokenizer_of(folder):
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder)


def test_the_words_are_one_token_each(folder):
    tokenizer = engine_thread().run(lambda: tokenizer_of(folder))
    assert len(tokenizer(text_of(40))["input_ids"]) == 40


@pytest.mark.parametrize("tokens", [SWITCH - 20, SWITCH + 100])
def test_a_prompt_on_either_side_of_the_switch(engine, folder, tokens):
    expected, count = in_one_pass(folder, text_of(tokens), 1)
    text, usage = answer(engine, text_of(tokens), 1)
    assert (text, usage.prompt_tokens) == (expected.rstrip("\ufffd"), count)


def test_an_answer_that_crosses_the_switch(engine, folder):
    if "dynamic" in folder.name:
        pytest.skip("transformers' generate keeps the keys of a text that grows, and so does the engine")
    assert answer(engine, text_of(SWITCH - 3), 8)[0] == in_one_pass(folder, text_of(SWITCH - 3), 8)[0].rstrip("\ufffd")


def test_what_was_kept_of_another_length_is_not_used(engine, folder):
    short, long = text_of(SWITCH - 50), text_of(SWITCH + 50)
    first = answer(engine, long)
    assert answer(engine, short)[0] == in_one_pass(folder, short)[0].rstrip("\ufffd")
    assert answer(engine, long)[0] == first[0]
    assert answer(engine, long)[0] == answer(engine, long, reuse=False)[0]
    assert answer(engine, short + WORD)[1].cached_tokens > 500, "on its own side of the switch it is"


def test_a_prompt_left_half_read_leaves_no_keys_of_the_wrong_kind(engine, folder):
    stream = engine.generate(Prompt(text_of(SWITCH + 400)), Sampling(max_new_tokens=2, temperature=0))
    next(stream)
    stream.close()
    short = text_of(SWITCH - 60)
    assert answer(engine, short)[0] == in_one_pass(folder, short)[0].rstrip("\ufffd")


@pytest.mark.parametrize("tokens", [SWITCH - 20, SWITCH, SWITCH + 1, SWITCH + 90])
def test_scores_are_those_of_one_pass(engine, folder, tokens):
    def work():
        import torch

        ids = tokenizer_of(folder)(text_of(tokens), return_tensors="pt").input_ids
        with torch.inference_mode():
            chances = torch.log_softmax(plain(folder)(input_ids=ids).logits[0, :-1].float(), dim=-1)
        return chances.gather(1, ids[0, 1:, None])[:, 0].tolist()

    assert tokens > 4 * scoring.CHUNK
    *_, found = engine.score(Prompt(text_of(tokens)))
    assert list(found.log_probabilities) == pytest.approx(engine_thread().run(work), abs=2e-4)


def test_training_and_others_that_tell_no_length_get_that_of_their_own_text(engine, folder):
    def work():
        import torch

        ids = tokenizer_of(folder)(text_of(SWITCH + 30), return_tensors="pt").input_ids
        engine._loaded.length.start(0)
        with torch.inference_mode():
            mine, theirs = (model(input_ids=ids).logits for model in (engine._loaded.model, plain(folder)))
        return float((mine - theirs).abs().max())

    assert engine_thread().run(work) < 1e-3
