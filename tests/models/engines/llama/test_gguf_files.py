"""What GGUF files may say, lack or hold: prompts as they are written, templates, reasons, numbers that are none."""

import numpy
import pytest
from tiny_gguf import T, write_tiny_gguf

from models.domain.engine import Prompt
from models.domain.errors import CannotLoad, NoTemplate, NotFinite
from models.domain.load import Local, Snapshot
from models.domain.messages import Message, Sampling
from models.domain.settings import Settings
from models.engines.llama.engine import open_gguf
from models.engines.llama.metadata import chat_template_of
from models.engines.llama.process import complaint

HELLO = (Message("user", "Hello"),)
GREEDY = Sampling(max_new_tokens=12, temperature=0)


@pytest.fixture
def written(tiny_folder, tmp_path):
    """A function that writes the tiny model's file with changes."""
    return lambda **changes: write_tiny_gguf(tiny_folder, tmp_path / "tiny.gguf", **changes)


@pytest.fixture
def opened_gguf():
    engines = []

    def opened(path):
        snapshot = Snapshot(str(path), "gguf", "folder", path.stat().st_size, trusted=True)
        local = Local(snapshot, "gguf", context=512, slots=1)
        engines.append(open_gguf(local, "cpu", Settings(), lambda step: None))
        return engines[-1]

    yield opened
    for engine in engines:
        engine.close()


def ask(engine, prompt, sampling=GREEDY):
    deltas = list(engine.generate(prompt, sampling))
    # At an end in broken bytes, which only random models write, llama.cpp cuts another part of them.
    return "".join(delta.text for delta in deltas).rstrip("\ufffd"), deltas[-1].usage


def test_the_tiny_file_answers_as_transformers_does(written, opened_gguf, tiny):
    engine = opened_gguf(written())
    prompt = engine.render(HELLO)
    assert prompt == tiny.render(HELLO)
    text, usage = ask(engine, prompt)
    assert text == ask(tiny, prompt)[0]
    assert usage.prompt_tokens == ask(tiny, prompt)[1].prompt_tokens


# --- a prompt is what is written plus at most one start token -----------------------------------------------


@pytest.mark.parametrize("starts", [False, True])
def test_a_file_that_closes_texts_closes_no_prompt(written, opened_gguf, tiny, starts):
    flags = {"tokenizer.ggml.add_eos_token": (True, T.BOOL), "tokenizer.ggml.add_bos_token": (starts, T.BOOL)}
    engine = opened_gguf(written(put=flags))
    written_out = Prompt("Once upon a time")
    bare = ask(tiny, written_out)[1].prompt_tokens
    text, usage = ask(engine, written_out)
    assert usage.prompt_tokens == bare + starts
    started = Prompt("<|start|>Once upon a time")  # pasted, it counts once
    assert ask(engine, started)[1].prompt_tokens == bare + 1
    assert (ask(engine, started)[0] == text) == starts
    rendered = Prompt("<|user|>Hello<|end|><|assistant|>", rendered=True)  # a template spells its own, or none
    assert ask(engine, rendered)[1].prompt_tokens == ask(tiny, rendered)[1].prompt_tokens
    assert ask(engine, rendered)[0] == ask(tiny, rendered)[0]


# --- templates ----------------------------------------------------------------------------------------------


def test_a_file_without_a_template_is_given_none(written, opened_gguf):
    engine = opened_gguf(written(drop=("tokenizer.chat_template",)))
    with pytest.raises(NoTemplate, match="no chat template"):
        engine.render(HELLO)
    assert ask(engine, Prompt("Hello"))[0]


def test_named_templates_without_a_default_are_told(written):
    named = {"tokenizer.chat_template.rag": ("{{ messages }}", T.STRING)}
    path = written(drop=("tokenizer.chat_template",), put=named)
    with pytest.raises(NoTemplate, match="templates called rag"):
        chat_template_of(str(path), True).write(HELLO)
    assert chat_template_of(str(written(put=named)), True).write(HELLO).text.startswith("<|user|>Hello")


def test_a_template_can_name_every_special_token_of_the_file(written):
    path = written(
        put={
            "tokenizer.chat_template": ("{{ bos_token + eos_token + pad_token + unk_token }}", T.STRING),
            "tokenizer.ggml.padding_token_id": (1, T.UINT32),
            "tokenizer.ggml.unknown_token_id": (2, T.UINT32),
        }
    )
    assert chat_template_of(str(path), True).write(HELLO).text == "<|start|><|end|><|end|><|user|>"


def test_a_broken_header_is_a_sentence(tmp_path):
    for content in (b"GGUF", b"GGUF" + b"\xff" * 60):
        (tmp_path / "a.gguf").write_bytes(content)
        with pytest.raises(CannotLoad, match=r"a\.gguf cannot be loaded: it"):
            chat_template_of(str(tmp_path / "a.gguf"), True)


def test_a_file_does_not_decide_how_tokens_are_sampled(written, opened_gguf):
    engine = opened_gguf(
        written(
            put={
                "general.sampling.mirostat": (2, T.INT32),
                "general.sampling.temp": (2.0, T.FLOAT32),
                "general.sampling.xtc_probability": (1.0, T.FLOAT32),
            }
        )
    )
    narrow = [ask(engine, Prompt("Hello"), Sampling(12, 1.0, top_k=1, seed=seed))[0] for seed in (1, 2)]
    assert narrow == [ask(engine, Prompt("Hello"))[0]] * 2


# --- llama.cpp's own reasons --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"put": {"tokenizer.ggml.pre": ("brand-new", T.STRING)}}, "unknown pre-tokenizer type: 'brand-new'"),
        ({"without": ("output_norm.weight",)}, "tensor 'output_norm.weight' not found"),
        ({"put": {"general.architecture": ("starfish", T.STRING)}}, "starfish"),
        ({"put": {"llama.feed_forward_length": (256, T.UINT32)}}, "wrong shape"),
        ({"change": {"blk.1.ffn_up.weight": lambda v: v * numpy.nan}}, "'blk.1.ffn_up.weight' holds NaN or infinity"),
    ],
)
def test_the_reason_why_a_file_cannot_be_loaded(written, opened_gguf, changes, reason):
    with pytest.raises(CannotLoad) as caught:
        opened_gguf(written(**changes))
    assert caught.value.facts["file"] == "tiny.gguf"
    assert reason in caught.value.facts["reason"]
    assert "error loading" not in caught.value.facts["reason"]


def test_a_reason_is_told_without_paths_and_without_empty_phrases():
    printed = """
0.00.223.1 I llama_model_loader: loaded
0.00.235.8 E llama_model_load_from_file_impl: failed to load model
0.00.235.9 E gguf_init_from_file: failed to open GGUF file '/home/user/models/a-00002-of-00002.gguf' (No such file)
0.00.236.0 E cmn  common_init_: failed to load model '/home/user/models/a.gguf'
"""
    assert complaint(printed) == "failed to open GGUF file '…a-00002-of-00002.gguf' (No such file)"
    asserted = "/build/ggml/src/ggml.c:123: GGML_ASSERT(a->ne[0] == b->ne[0]) failed\n[New LWP 1]"
    assert complaint(asserted) == "GGML_ASSERT(a->ne[0] == b->ne[0]) failed"
    assert complaint("") == complaint("something else") == ""


# --- a number that is none ----------------------------------------------------------------------------------


def test_numbers_that_overflow_are_no_answer(written, opened_gguf):
    engine = opened_gguf(written(change={"blk.0.attn_norm.weight": lambda values: values * 0 + 3e38}))
    for sampling in (GREEDY, Sampling(max_new_tokens=4, temperature=0.8)):
        with pytest.raises(NotFinite, match="computed NaN or infinity"):
            ask(engine, Prompt("Hello"), sampling)
