"""Every mode that runs here, on real models: what a load reports, what it takes in memory, and what it computes."""

import ctypes
import json
import shutil
import sys

import pytest

from models.domain.catalog import load_catalog
from models.domain.engine import Prompt
from models.domain.errors import EngineFailed, ModeNotPossible
from models.domain.load import Snapshot
from models.domain.memory.plan import weight_bytes
from models.domain.messages import Message, Progress, Sampling
from models.domain.quantization import MODES
from models.domain.settings import Settings
from models.domain.variant import Variant
from models.engines.cpu.packing import packed_bytes
from models.engines.transformers.engine import open_transformers
from models.engines.transformers.engine_thread import engine_thread, prepare_torch

TEXT = "The fox sleeps in the old barn while the crow counts the stars. Paris is the capital of France."
RUN = ["bf16", "int8", "nf4", "dynamic-int8"]
RARE = [pytest.param(mode, marks=pytest.mark.slow) for mode in ("nf4-single", "fp4", "fp4-single")]
# How much worse than full precision a text may be found, in nats a token, and how often the first choice may change.
WORSE = {"bf16": 0.02, "int8": 0.1, "nf4": 0.5, "nf4-single": 0.5, "fp4": 0.7, "fp4-single": 0.7, "dynamic-int8": 0.5}


def loaded(folder, mode, on_progress=lambda progress: None):
    snapshot = Snapshot(str(folder), "safetensors", "converted", 0, trusted=True)
    return open_transformers(snapshot, mode, "cpu", Settings(context=2048), on_progress)


@pytest.fixture(scope="module", params=[*RUN, *RARE])
def opened_mode(request, smollm2_folder):
    """SmolLM2 in one mode after another, and what its load reported."""
    seen = []
    engine = loaded(smollm2_folder, request.param, seen.append)
    yield request.param, engine, seen
    engine.close()


def test_stages(opened_mode):
    mode, _, seen = opened_mode
    tensors = [
        Progress("read" if mode in ("bf16", "dynamic-int8") else "quantize", n, 272, "tensors") for n in range(273)
    ]
    layers = [Progress("quantize", n, 211, "layers") for n in range(212)] if mode == "dynamic-int8" else []
    assert seen == [*tensors, *layers, Progress("warm up")]


def test_it_answers(opened_mode):
    mode, engine, _ = opened_mode
    prompt = engine.render([Message("user", "What is the capital of France?")])
    text = "".join(delta.text for delta in engine.generate(prompt, Sampling(max_new_tokens=10, temperature=0)))
    assert "Paris" in text, mode


def test_scores_are_those_of_one_forward_pass(opened_mode, smollm2):
    mode, engine, _ = opened_mode
    scored = list(engine.score(Prompt(TEXT)))[-1].log_probabilities
    plain = engine_thread().run(lambda: forward(engine, TEXT))
    assert scored == pytest.approx(plain, abs=1e-4)
    full = list(smollm2.score(Prompt(TEXT)))[-1].log_probabilities
    assert abs(sum(full) - sum(scored)) / len(full) < WORSE[mode]


def forward(engine, text):
    import torch

    ids = torch.tensor([engine._loaded.tokenizer(text)["input_ids"]])
    with torch.inference_mode():
        logits = engine._loaded.model(input_ids=ids[:, :-1], use_cache=False).logits[0].float()
    return logits.log_softmax(-1).gather(1, ids[0, 1:, None])[:, 0].tolist()


def test_bytes_are_those_of_the_plan(opened_mode):
    mode, engine, _ = opened_mode
    check_bytes("smollm2-135m-instruct", mode, engine)


def check_bytes(key, mode, engine):
    planned = sum(weight_bytes(load_catalog()[key], MODES[mode]).values())
    if mode == "dynamic-int8":  # fixed by how FBGEMM pads; see packed_bytes
        shape = load_catalog()[key].shape
        planned = sum(count * packed_bytes(*sizes) for (_, *sizes), count in shape.linears.items())
        planned += packed_bytes(shape.vocabulary, shape.hidden)
        planned += 4 * (shape.embedding_parameters + shape.counted("small"))
    # On a CPU with AVX-512 BF16, bitsandbytes writes all constants of 4-bit weights anew as bfloat16.
    assert engine.bytes == pytest.approx(planned, rel=0.03 if "4" in mode else 0.02), (key, mode, planned)


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["fp32", *RUN, "nf4-single", "fp4"])
def test_bytes_of_a_large_vocabulary(runtime, mode):
    folder = runtime.fetch(Variant("gemma-3-270m", "fp32")).path
    engine = loaded(folder, mode)
    try:
        check_bytes("gemma-3-270m", mode, engine)
        scores = list(engine.score(Prompt(TEXT)))[-1].log_probabilities
        assert -5 < sum(scores) / len(scores) < -1
    finally:
        engine.close()


# --- dynamic-int8 ---------------------------------------------------------------------------------------------


def packed(rows, columns, bias=False):
    import torch

    from models.engines.cpu.packing import _packed_linear

    linear = torch.nn.Linear(columns, rows, bias=bias)
    return linear, _packed_linear()(linear)


@pytest.mark.parametrize("bias", [False, True])
def test_a_packed_layer_computes_what_the_plain_one_does(bias):
    def work():
        prepare_torch(Settings().compute_threads)
        import torch

        torch.manual_seed(1)
        plain, small = packed(96, 600, bias)
        with torch.inference_mode():
            inputs = torch.randn(2, 5, 600)
            wanted, found = plain(inputs), small(inputs)
            return found.shape == wanted.shape and float((found - wanted).norm() / wanted.norm())

    assert 0 < engine_thread().run(work) < 0.02


def test_rows_of_a_packed_layer_do_not_depend_on_each_other():
    def work():
        import torch

        _, small = packed(96, 600)
        with torch.inference_mode():
            inputs = torch.randn(9, 600) * torch.logspace(-3, 3, 9)[:, None]
            inputs[4] = 0
            whole = small(inputs)
            return all(torch.equal(whole[row : row + 1], small(inputs[row : row + 1])) for row in range(9))

    assert engine_thread().run(work)


@pytest.mark.skipif(sys.platform != "linux" or not hasattr(ctypes.CDLL(None), "mallinfo2"), reason="needs glibc")
@pytest.mark.parametrize(("rows", "columns"), [(1536, 576), (576, 1536), (4096, 640), (1000, 512)])
def test_packed_bytes_are_what_the_allocator_gave(rows, columns):
    def work():
        prepare_torch(Settings().compute_threads)
        held = [packed(rows, columns)[1]]
        before = allocated()
        held += [packed(rows, columns)[1] for _ in range(4)]
        return (allocated() - before) / 4

    assert engine_thread().run(work) == pytest.approx(packed_bytes(rows, columns), rel=0.03)


class MallInfo(ctypes.Structure):
    _names = "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost"
    _fields_ = tuple((name, ctypes.c_size_t) for name in _names.split())


def allocated():
    call = ctypes.CDLL(None).mallinfo2
    call.restype = MallInfo
    info = call()
    return info.uordblks + info.hblkhd


def test_the_plain_weights_are_gone(opened_mode):
    mode, engine, _ = opened_mode
    if mode != "dynamic-int8":
        pytest.skip("of dynamic-int8 only")
    model = engine._loaded.model
    assert sum(parameter.numel() for parameter in model.parameters()) == 49152 * 576 + 30 * 2 * 576 + 576
    assert model.get_output_embeddings().packed_bytes == packed_bytes(49152, 576)


# --- weights that are quantized already ---------------------------------------------------------------------------


@pytest.fixture(scope="module", params=["nf4", "int8", "fp4-single"])
def stored(request, tiny_folder, tmp_path_factory):
    """The tiny model saved by transformers after bitsandbytes quantized it."""
    folder = tmp_path_factory.mktemp(request.param)
    engine = loaded_without_warm_up(tiny_folder, request.param)
    engine_thread().run(lambda: engine.save_pretrained(folder))
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(tiny_folder / name, folder)
    return request.param, folder


def loaded_without_warm_up(folder, mode):
    """The first forward pass packs 4-bit weights for the CPU; they are saved before it."""

    def work():
        from transformers import AutoConfig, AutoModelForCausalLM

        from models.engines.transformers.loader import _how
        from models.engines.transformers.recipes import RECIPES

        how = _how(RECIPES[mode], None, "cpu", AutoConfig.from_pretrained(folder))
        return AutoModelForCausalLM.from_pretrained(folder, **how)

    return engine_thread().run(work)


def test_a_checkpoint_of_bitsandbytes_loads_as_it_is(stored, tiny_folder):
    mode, folder = stored
    seen = []
    kept, made = loaded(folder, mode, seen.append), loaded(tiny_folder, mode)
    try:
        assert {progress.stage for progress in seen} == {"read", "warm up"}
        assert kept.bytes == pytest.approx(made.bytes, rel=0.001)
        scores = [list(engine.score(Prompt(TEXT)))[-1].log_probabilities for engine in (kept, made)]
        assert scores[0] == pytest.approx(scores[1], abs=1e-4)
    finally:
        kept.close()
        made.close()


def test_another_mode_of_it_is_refused(stored):
    mode, folder = stored
    for other in {"nf4", "int8", "fp4-single", "bf16", "gptq"} - {mode}:
        with pytest.raises(ModeNotPossible, match=f"quantized already, as {mode}"):
            loaded(folder, other)


def test_weights_that_are_not_what_config_json_says_are_refused(tiny_folder, tmp_path):
    shutil.copytree(tiny_folder, tmp_path / "m")
    config = json.loads((tmp_path / "m" / "config.json").read_text())
    config["quantization_config"] = {"quant_method": "gptq", "bits": 4, "group_size": 64}
    (tmp_path / "m" / "config.json").write_text(json.dumps(config))
    with pytest.raises(EngineFailed):
        loaded(tmp_path / "m", "gptq")
