"""What is written as GGUF is computed by llama.cpp as transformers computes its source."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import gguf
import pytest
from lora_files import write_adapter
from tiny_decoders import config_class
from tiny_tokenizers import sentence_piece

from models.__main__ import main
from models.domain.engine import Prompt
from models.domain.errors import CannotExport, OutputExists
from models.domain.load import Local, Snapshot
from models.domain.messages import Delta, Message, Sampling, Scored
from models.domain.request import ChatRequest, CompletionRequest
from models.domain.settings import Settings
from models.domain.variant import Variant
from models.engines.llama.engine import open_gguf
from models.engines.llama.export.types import FILE_TYPES, type_of
from models.engines.llama.export.write import require_known, write_gguf
from models.engines.transformers.engine_thread import engine_thread
from models.runtime import Runtime
from models.workshop import to_gguf as to_gguf_module
from models.workshop.to_gguf import to_gguf

TEXT = Prompt("Once upon a time there was a fox and 12345 crows.  émoji 漢字\n\nThe end of it.")
NEAR = 0.05  # nats; llama.cpp's cache holds halves
GREEDY = Sampling(max_new_tokens=24, temperature=0)
LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
LLAMA3 |= {"original_max_position_embeddings": 64, "rope_theta": 10_000.0}
KINDS = {
    "llama": {"tie_word_embeddings": True},
    "llama with biases": {"attention_bias": True, "mlp_bias": True},
    "llama 3.1": {"rope_parameters": LLAMA3},
    "mistral": {"sliding_window": 256},
    "qwen2": {"tie_word_embeddings": False},
    "qwen3": {"head_dim": 32},
}


@pytest.fixture(autouse=True)
def short_text(monkeypatch):
    """Byte-level tokens of a random model are many, and llama.cpp scores one after another."""
    monkeypatch.setattr(to_gguf_module, "REFERENCE_TEXT", TEXT.text)


def quiet(progress: object) -> None:
    pass


@pytest.fixture(scope="module")
def built(tmp_path_factory, built_decoder):
    """A function that writes a random model of a kind, once, and gives its folder."""
    root = tmp_path_factory.mktemp("sources")

    def get(name: str = "llama") -> Path:
        folder = root / name.replace(" ", "-")
        if not folder.exists():
            sizes = {"num_hidden_layers": 2, "initializer_range": 0.2, "max_position_embeddings": 2048}
            config = config_class(name.split()[0], **sizes, **KINDS[name])
            engine_thread().run(lambda: built_decoder(folder, config))
        return folder

    return get


def outcome(engine):
    """The scores of the text, and what greedy decoding makes of it, without the half character at its end.

    llama.cpp shows a token of this name always, for the sake of gpt-oss.
    """
    scored = next(step for step in engine.score(TEXT, rivals=1) if isinstance(step, Scored))
    text = "".join(delta.text for delta in engine.generate(TEXT, Sampling(max_new_tokens=10, temperature=0)))
    engine.close()
    return scored, text.replace("<|start|>", "").rstrip("\ufffd")


def require_same(ours: Scored, theirs: Scored) -> None:
    """Tokens, their log-probabilities, and the probability of the likeliest one of each position."""
    assert ours.tokens == theirs.tokens
    pairs = list(zip(ours.log_probabilities, theirs.log_probabilities, strict=True))
    assert max(abs(one - other) for one, other in pairs) < NEAR
    best = [[next(iter(places), ("", 0.0))[1] for places in scored.rivals] for scored in (ours, theirs)]
    assert max(abs(one - other) for one, other in zip(*best, strict=True)) < NEAR
    assert len(set(best[0])) > 10


def open_file(file: Path):
    local = Local(Snapshot(str(file), "gguf", "folder", 0), "gguf", 256, 1)
    return open_gguf(local, "cpu", Settings(threads=1), quiet)


@pytest.mark.parametrize("name", KINDS)
def test_both_engines_compute_the_same(built, opened, tmp_path, name):
    folder, out = built(name), tmp_path / "tiny.gguf"
    write_gguf(folder, out, "f32", name, quiet)
    (theirs, text), (ours, same) = outcome(opened(folder, context=256)), outcome(open_file(out))
    require_same(ours, theirs)
    assert same == text != ""


def test_a_sentence_piece_vocabulary(built, opened, tmp_path):
    """As Llama 2's: joined by scores, unknown characters as bytes, a blank put in front."""
    from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

    folder, out = tmp_path / "spm", tmp_path / "spm.gguf"
    shutil.copytree(built("llama"), folder)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=sentence_piece(), bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )

    def resized():
        model = AutoModelForCausalLM.from_pretrained(folder)
        model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
        model.save_pretrained(folder)

    engine_thread().run(resized)
    for file in folder.glob("*token*"):
        file.unlink()
    tokenizer.save_pretrained(folder)
    write_gguf(folder, out, "f32", "Tiny", quiet)
    require_same(outcome(open_file(out))[0], outcome(opened(folder, context=256))[0])


@pytest.fixture
def runtime(tmp_path, built) -> Runtime:
    """A machine whose models folder holds me/tiny."""
    shutil.copytree(built("llama"), tmp_path / "models/me/tiny")
    write_adapter(tmp_path / "adapters", "mine", seed=3, size=0.2)
    where = {"models_dir": str(tmp_path / "models"), "adapters_dir": str(tmp_path / "adapters")}
    return Runtime(Settings(cache_dir=str(tmp_path / "cache"), hub_ids=True, threads=1, **where))


def answer(runtime: Runtime, spelling: str) -> str:
    request = CompletionRequest(Variant.parse(spelling), "Once upon a time", GREEDY)
    return "".join(event.text for event in runtime.answer(request) if isinstance(event, Delta))


def test_a_merged_variant_becomes_one_that_can_be_picked(runtime):
    """Merged and in fp32, it answers as its source does with the adapter beside the weights; and it chats."""
    out = Path(runtime.settings.models_dir, "me/merged/mine.F32.gguf")
    found = to_gguf(runtime, Variant.parse("me/tiny@fp32+mine:0.8"), "f32", out, quiet)
    assert abs(found.perplexity / found.source - 1) < 0.01
    assert found.agreement > 0.95
    assert (
        answer(runtime, "me/merged@gguf") == answer(runtime, "me/tiny@fp32+mine:0.8") != answer(runtime, "me/tiny@fp32")
    )
    chat = ChatRequest(Variant.parse("me/merged@gguf"), (Message("user", "Hi"),), GREEDY)
    usage = [event.usage for event in runtime.answer(chat) if isinstance(event, Delta)][-1]
    assert (usage.engine, usage.variant) == ("llama.cpp", "me/merged@gguf")
    assert sorted(path.name for path in out.parent.iterdir()) == [
        *("chat_template.jinja", "config.json", out.name, f"{out.name}.made.json")
    ]
    with pytest.raises(OutputExists):
        to_gguf(runtime, Variant.parse("me/tiny"), "f32", out, quiet)


def test_the_command_says_what_became_of_it(runtime, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PADDOCK_MODELS_DIR", runtime.settings.models_dir)
    monkeypatch.setenv("PADDOCK_THREADS", "1")
    out = tmp_path / "tiny-Q8_0.gguf"
    assert main(["to-gguf", "me/tiny@fp32", "--as", "q8_0", "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert said.startswith(str(out))
    assert "perplexity" in said
    assert "KL divergence at least" in said
    left = sorted(path.name for path in tmp_path.glob("*tiny-Q8*"))
    assert left == [out.name, f"{out.name}.made.json"], "nothing unfinished is left"


@pytest.mark.parametrize("kind", FILE_TYPES)
def test_types_are_those_of_llama_cpp(kind):
    """The matrices that get more bits are those of llama-quant.cpp; a row that no block divides gets another type."""
    names = {
        f"blk.{layer}.{part}.weight": (512, 512) for layer in range(8) for part in ("attn_q", "attn_v", "ffn_down")
    }
    names |= {"token_embd.weight": (300, 512), "output.weight": (300, 512)}
    found = {name: type_of(name, shape, kind, 8, tied=False) for name, shape in names.items()}
    assert type_of("output_norm.weight", (512,), kind, 8, False) == "F32"
    if kind in ("q4_k_m", "q5_k_m"):
        more = [name for name, type_ in found.items() if type_ == "Q6_K"]
        layers = [0, 3, 6, 7]
        assert more == [f"blk.{n}.{part}.weight" for n in layers for part in ("attn_v", "ffn_down")] + ["output.weight"]
        assert type_of("token_embd.weight", (300, 512), kind, 8, tied=True) == "Q6_K"
        assert type_of("blk.1.attn_q.weight", (64, 96), kind, 8, False) == {"q4_k_m": "Q5_0", "q5_k_m": "Q5_1"}[kind]
    else:
        assert len(set(found.values())) == 1


def test_a_quantized_file_has_the_bytes_that_llama_cpp_makes(built, tmp_path):
    from models.weights.verify.safetensors_header import read_fp32, read_tensors

    write_gguf(built("llama"), tmp_path / "q8.gguf", "q8_0", "Tiny", quiet)
    tensors = {tensor.name: tensor for tensor in gguf.GGUFReader(tmp_path / "q8.gguf").tensors}
    source = built("llama") / "model.safetensors"
    values = read_fp32(source, read_tensors(source)["model.layers.1.mlp.down_proj.weight"])
    assert (
        tensors["blk.1.ffn_down.weight"].data.tobytes()
        == gguf.quants.quantize(values, gguf.GGMLQuantizationType.Q8_0).tobytes()
    )


def spoil(folder: Path, file: str, change) -> None:
    stated = json.loads((folder / file).read_text())
    change(stated)
    (folder / file).write_text(json.dumps(stated))


@pytest.mark.parametrize(
    ("file", "change", "words"),
    [
        ("config.json", lambda c: c.update(model_type="gemma3_text"), "architecture"),
        ("config.json", lambda c: c.update(hidden_act="gelu"), "activation"),
        ("config.json", lambda c: c.update(rope_parameters={"rope_type": "dynamic", "factor": 2.0}), "rotary"),
        ("tokenizer.json", lambda t: t.update(normalizer={"type": "Lowercase"}), "changes texts"),
        ("tokenizer.json", lambda t: t["pre_tokenizer"].update(add_prefix_space=True), "splits texts"),
    ],
)
def test_what_llama_cpp_would_compute_otherwise_is_refused(built, tmp_path, file, change, words):
    folder = tmp_path / "spoiled"
    shutil.copytree(built("llama"), folder)
    spoil(folder, file, change)
    with pytest.raises(CannotExport, match=words):
        require_known(folder)
