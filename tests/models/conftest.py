"""Models to test on: a tiny random one, made here, and a real small one, fetched and converted once."""

import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # for the helpers beside the tests

from models.domain.catalog import load_catalog
from models.domain.load import Snapshot
from models.domain.settings import Settings
from models.domain.variant import Variant
from models.engines.transformers.engine import open_transformers
from models.engines.transformers.engine_thread import engine_thread, prepare_torch
from models.weights import sources

SETTINGS = Settings.from_env()
CORPUS = ["Once upon a time there was a fox 😀 and a crow.", "漢字 and émoji, naïve: <b>tags</b> 12345"] * 20
CHAT = "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|>{% endfor %}<|assistant|>"


@pytest.fixture(scope="session")
def smollm2_gguf() -> Path:
    """The real model's file, fetched once a machine the way the app fetches it."""
    card = load_catalog()["smollm2-135m-instruct"]
    return Path(sources.resolve(card, "gguf", SETTINGS, lambda progress: None, lambda: False).path)


@pytest.fixture(scope="session")
def smollm2_folder(runtime) -> Path:
    """The same as safetensors, converted once a machine the way the app converts it."""
    return Path(runtime.fetch(Variant("smollm2-135m-instruct", "fp32")).path)


def open_folder(folder: Path, mode: str = "fp32", context: int = 4096, trusted: bool = True):
    snapshot = Snapshot(str(folder), "safetensors", "converted", 0, trusted=trusted)
    settings = Settings(context=context, threads=SETTINGS.threads)
    return open_transformers(snapshot, mode, "cpu", settings, lambda progress: None)


@pytest.fixture(scope="session")
def opened():
    """A function that loads a folder of safetensors."""
    return open_folder


@pytest.fixture(scope="session")
def built_decoder():
    """A function that writes a random model of a config to a folder; for the engine thread."""
    return build_decoder


@pytest.fixture(scope="session")
def reference():
    """A function that gives the text and the ids that transformers' own `generate` makes of a prompt."""
    return generated


def generated(engine, text: str, **values):
    def work():
        import torch

        model, tokenizer = engine._loaded.model, engine._loaded.tokenizer
        ids = torch.tensor([tokenizer(text, add_special_tokens=False)["input_ids"]])
        ends = list(engine._loaded.eos_ids)
        values.update(attention_mask=torch.ones_like(ids), eos_token_id=ends, pad_token_id=ends[0])
        new = model.generate(ids, **values)[0, ids.shape[1] :].tolist()
        return tokenizer.decode(new, skip_special_tokens=True, clean_up_tokenization_spaces=False), new

    return engine_thread().run(work)


@pytest.fixture(scope="session")
def smollm2(smollm2_folder):
    """The real model on transformers, in fp32."""
    engine = open_folder(smollm2_folder)
    yield engine
    engine.close()


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory) -> Path:
    """Two random Llama layers with a byte-level tokenizer of 400 tokens."""
    folder = tmp_path_factory.mktemp("tiny")
    engine_thread().run(lambda: build_tiny(folder))
    return folder


@pytest.fixture(scope="session")
def tiny_gemma_folder(tmp_path_factory) -> Path:
    """Random Gemma 3 layers, of which most see a window of 16 tokens."""
    folder = tmp_path_factory.mktemp("tiny_gemma")
    engine_thread().run(lambda: build_tiny(folder, gemma=True))
    return folder


@pytest.fixture
def tiny(tiny_folder):
    engine = open_folder(tiny_folder, context=512)
    yield engine
    engine.close()


def write_tokenizer(folder: Path) -> int:
    """A byte-level tokenizer with a chat template; the size of its vocabulary."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<|start|>", "<|end|>", "<|user|>", "<|assistant|>", "<|system|>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=special, initial_alphabet=alphabet)
    tokenizer.train_from_iterator(CORPUS, trainer)
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<|start|>", eos_token="<|end|>", chat_template=CHAT
    ).save_pretrained(folder)
    return tokenizer.get_vocab_size()


def build_decoder(folder: Path, config: Any) -> None:
    """A random model of a transformers config, whose vocabulary becomes the tokenizer's."""
    prepare_torch(SETTINGS.compute_threads)
    import torch
    from transformers import AutoModelForCausalLM

    config.vocab_size = write_tokenizer(folder)
    if hasattr(config, "vocab_size_per_layer_input"):
        config.vocab_size_per_layer_input = config.vocab_size
    torch.manual_seed(7)
    model = AutoModelForCausalLM.from_config(config)
    # Sampling values of a repository must not leak into answers.
    model.generation_config.update(do_sample=True, temperature=0.3, top_k=3, repetition_penalty=1.5)
    model.save_pretrained(folder)


def build_tiny(folder: Path, gemma: bool = False) -> None:
    from transformers import Gemma3TextConfig, LlamaConfig

    sizes = {
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 16,
        "max_position_embeddings": 2048,
        "bos_token_id": 0,
        "eos_token_id": 1,
        "pad_token_id": 1,
        "initializer_range": 0.3,
    }
    if gemma:
        kinds = ["sliding_attention", "full_attention", "sliding_attention"]
        config = Gemma3TextConfig(num_hidden_layers=3, sliding_window=16, layer_types=kinds, **sizes)
    else:
        config = LlamaConfig(num_hidden_layers=2, **sizes)
    build_decoder(folder, config)
