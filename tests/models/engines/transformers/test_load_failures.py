"""A load that fails in the middle leaves nothing behind: no memory, no hook, and an engine thread that goes on."""

import json
import shutil

import pytest

from models.domain.engine import Prompt
from models.domain.errors import CorruptWeights, EngineFailed, GpuFailed, OutOfMemory
from models.domain.load import Snapshot
from models.domain.messages import Sampling
from models.domain.settings import Settings
from models.engines.device import resident_bytes
from models.engines.transformers.engine import open_transformers
from models.engines.transformers.engine_thread import engine_thread


def load(folder, mode, on_progress=lambda progress: None):
    snapshot = Snapshot(str(folder), "safetensors", "folder", 0, trusted=True)
    return open_transformers(snapshot, mode, "cpu", Settings(context=256), on_progress)


def works(folder, mode):
    """Load once more without a failure, and answer."""
    engine = load(folder, mode)
    try:
        return (
            list(engine.generate(Prompt("Once"), Sampling(max_new_tokens=2, temperature=0)))[-1].usage.new_tokens == 2
        )
    finally:
        engine.close()


def failing(stage, done, error):
    """An `on_progress` that raises when a stage has come so far."""

    def on_progress(progress):
        if progress.stage == stage and progress.done >= done:
            raise error

    return on_progress


@pytest.mark.parametrize(
    ("mode", "stage", "done"),
    [
        ("bf16", "read", 5),
        ("nf4", "quantize", 9),
        ("int8", "quantize", 9),
        ("dynamic-int8", "read", 9),
        ("dynamic-int8", "quantize", 3),
        ("fp32", "warm up", 0),
    ],
)
def test_a_failure_in_any_stage(tiny_folder, mode, stage, done):
    with pytest.raises(EngineFailed, match="broken on purpose"):
        load(tiny_folder, mode, failing(stage, done, RuntimeError("broken on purpose")))
    with pytest.raises(OutOfMemory, match="while loading the model"):
        load(tiny_folder, mode, failing(stage, done, MemoryError()))
    assert works(tiny_folder, mode)


def test_a_failure_of_the_gpu_is_not_put_down_to_the_file(tiny_folder):
    with pytest.raises(GpuFailed, match="illegal memory access"):
        load(tiny_folder, "bf16", failing("read", 5, RuntimeError("CUDA error: an illegal memory access")))


def test_the_progress_hook_of_transformers_is_put_back(tiny_folder):
    from transformers.utils import logging

    def hook():
        previous = logging.set_tqdm_hook(None)
        logging.set_tqdm_hook(previous)
        return previous

    before = engine_thread().run(hook)
    with pytest.raises(EngineFailed):
        load(tiny_folder, "bf16", failing("read", 5, RuntimeError("broken on purpose")))
    assert engine_thread().run(hook) is before


@pytest.mark.slow
@pytest.mark.parametrize(("mode", "stage", "done"), [("bf16", "read", 270), ("dynamic-int8", "quantize", 205)])
def test_the_memory_of_a_failed_load_comes_back(smollm2_folder, mode, stage, done):
    held = []

    def on_progress(progress):
        if progress.stage == stage and progress.done >= done:
            held.append(resident_bytes())
            raise RuntimeError("broken on purpose")

    after = []
    for _ in range(3):
        with pytest.raises(EngineFailed, match="broken on purpose"):
            load(smollm2_folder, mode, on_progress)
        after.append(resident_bytes())
    assert held[-1] > after[-1] + 200e6, "it was nearly loaded"
    assert after[-1] < 1.1 * after[0]


@pytest.fixture
def shards(tiny_folder, tmp_path):
    """The tiny model in several files."""

    def work():
        from transformers import AutoModelForCausalLM, AutoTokenizer

        AutoModelForCausalLM.from_pretrained(tiny_folder).save_pretrained(tmp_path, max_shard_size="120kB")
        AutoTokenizer.from_pretrained(tiny_folder).save_pretrained(tmp_path)

    engine_thread().run(work)
    found = sorted(tmp_path.glob("*.safetensors"))
    assert len(found) > 2
    return found


def cut(data):
    return data[: len(data) // 2]


def bad_header(data):
    return data[:8] + b"#" * 40 + data[48:]


def bad_offsets(data):
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    name = next(name for name in header if name != "__metadata__")
    header[name]["shape"][0] += 1
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data[8 + size :]


@pytest.mark.parametrize("damage", [cut, bad_header, bad_offsets])
@pytest.mark.parametrize("mode", ["fp32", "nf4"])
def test_a_damaged_shard(shards, damage, mode):
    last = shards[-1]
    good = last.read_bytes()
    last.write_bytes(damage(good))
    with pytest.raises(CorruptWeights) as caught:
        load(last.parent, mode)
    assert str(last.parent) not in caught.value.message
    last.write_bytes(good)
    assert works(last.parent, mode)


def test_a_missing_shard(shards):
    good = shards[1].read_bytes()
    shards[1].unlink()
    with pytest.raises(EngineFailed):
        load(shards[1].parent, "bf16")
    shards[1].write_bytes(good)
    assert works(shards[1].parent, "bf16")


def changed(tiny_folder, folder, change, **config):
    """The tiny model with other tensors or another config."""

    def work():
        from safetensors.torch import load_file, save_file

        shutil.copytree(tiny_folder, folder)
        tensors = change(load_file(folder / "model.safetensors"))
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})

    engine_thread().run(work)
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | config))
    return folder


def without(*names):
    return lambda tensors: {name: value for name, value in tensors.items() if name not in names}


def prefixed(tensors):
    return {name.replace("model.", "language.model."): value for name, value in tensors.items()}


@pytest.mark.parametrize(
    ("change", "config", "reason"),
    [
        (without("model.layers.1.mlp.up_proj.weight"), {}, "lacks the tensor model.layers.1.mlp.up_proj.weight"),
        (without("lm_head.weight"), {}, "lacks the tensor lm_head.weight"),
        (without("model.norm.weight"), {}, "lacks the tensor model.norm.weight"),
        (prefixed, {}, "lacks the tensor model.embed_tokens.weight"),
        (without(), {"vocab_size": 500}, "tensor lm_head.weight is 320 x 64, and by config.json it has to be 500 x 64"),
        (without(), {"attention_bias": True}, "lacks the tensor model.layers.0.self_attn.k_proj.bias"),
    ],
)
@pytest.mark.parametrize("mode", ["fp32", "nf4"])
def test_nothing_is_filled_with_random_values(tiny_folder, tmp_path, mode, change, config, reason):
    with pytest.raises(CorruptWeights) as caught:
        load(changed(tiny_folder, tmp_path / "model", change, **config), mode)
    assert reason in caught.value.message


def test_a_tokenizer_with_more_tokens_than_embeddings(tiny_folder, tmp_path):
    def fewer(tensors):
        rows = {"model.embed_tokens.weight", "lm_head.weight"}
        return {name: value[:310].clone() if name in rows else value for name, value in tensors.items()}

    with pytest.raises(CorruptWeights, match=r"The tokenizer .* has 320 tokens, .* embeddings for 310"):
        load(changed(tiny_folder, tmp_path / "model", fewer, vocab_size=310), "fp32")


def test_a_tied_head_may_be_missing_or_alone(tiny_folder, tmp_path):
    tied = {"tie_word_embeddings": True}
    assert works(changed(tiny_folder, tmp_path / "without", without("lm_head.weight"), **tied), "fp32")
    assert works(changed(tiny_folder, tmp_path / "alone", without("model.embed_tokens.weight"), **tied), "fp32")


def test_a_token_that_was_added_for_nothing_is_usual(tiny_folder, tmp_path):
    def add(folder):
        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(folder)
        tokenizer.add_tokens(["<image>"])
        tokenizer.save_pretrained(folder)

    folder = changed(tiny_folder, tmp_path / "model", without())
    engine_thread().run(lambda: add(folder))
    assert works(folder, "fp32")


def test_a_named_token_without_an_embedding(tiny_folder, tmp_path):
    folder = changed(tiny_folder, tmp_path / "model", without())
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"eos_token": "<new>"}))
    with pytest.raises(CorruptWeights, match=r"its token <new> has the id 320, .* embeddings for 320"):
        load(folder, "fp32")


@pytest.mark.parametrize(
    "config",
    [{"eos_token_id": "2"}, {"rms_norm_eps": "1e-5"}, {"rope_parameters": "x"}, {"model_type": None}],
)
def test_a_config_that_is_not_understood(tiny_folder, tmp_path, config):
    with pytest.raises(CorruptWeights, match=r"config\.json cannot be used: transformers does not understand it, "):
        load(changed(tiny_folder, tmp_path / "model", without(), **config), "fp32")


def test_a_tokenizer_that_is_not_understood(tiny_folder, tmp_path):
    folder = changed(tiny_folder, tmp_path / "model", without())
    (folder / "tokenizer.json").write_text("{}")
    with pytest.raises(CorruptWeights, match="The tokenizer cannot be used: transformers does not understand it, "):
        load(folder, "fp32")
