"""What is written here is opened by transformers and PEFT alone: it ends, samples and tokenizes as its source."""

import json
import shutil
from pathlib import Path

import pytest
from lora_files import write_adapter
from tiny_gguf import T, write_tiny_gguf

from models.domain.engine import Prompt
from models.domain.errors import NotFinite
from models.domain.load import ActiveAdapter, Adapter, Snapshot
from models.domain.lora import read_lora
from models.domain.messages import Message, Sampling, Scored, Thought
from models.domain.settings import Settings
from models.domain.training import TrainingSettings
from models.engines.transformers.engine_thread import engine_thread
from models.engines.transformers.gguf_weights import write_model
from models.training.engine.merging import write_merged

TEXTS = ["Once upon a time", " a fox", "<|user|>Say fox.<|end|><|assistant|>", "<|start|>漢字 émoji 😀\n\n 12345", ""]
TALK = [{"role": "user", "content": "Say fox."}]


def merge(source: Path, out: Path, mode: str, *adapters) -> None:
    snapshot = Snapshot(str(source), "safetensors", "folder", 0, trusted=True)
    write_merged(snapshot, mode, adapters, out, Settings(threads=1), lambda progress: None)


def plain(folder: Path, adapter: Path | None = None, **how):
    """As another program opens it."""
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(folder, **how).eval()
    model = PeftModel.from_pretrained(model, adapter).eval() if adapter else model
    return model, AutoTokenizer.from_pretrained(folder)


def generated(model, tokenizer, **how) -> list[int]:
    import torch

    torch.manual_seed(0)
    inputs = tokenizer("Once upon a time", return_tensors="pt", return_token_type_ids=False)
    return model.generate(**inputs, max_new_tokens=12, **how)[0, inputs["input_ids"].shape[1] :].tolist()


def defaults(model) -> dict:
    """What `generate` goes by."""
    return {name: value for name, value in model.generation_config.to_dict().items() if name != "transformers_version"}


def same_tokens(one, other, texts=TEXTS) -> None:
    for text in texts:
        for added in (True, False):
            ids = one(text, add_special_tokens=added)["input_ids"]
            assert ids == other(text, add_special_tokens=added)["input_ids"]
            for skipped in (True, False):
                assert one.decode(ids, skip_special_tokens=skipped) == other.decode(ids, skip_special_tokens=skipped)
    assert one.special_tokens_map == other.special_tokens_map
    assert one.chat_template == other.chat_template
    if isinstance(one.chat_template, str):
        first, second = (each.apply_chat_template(TALK, add_generation_prompt=True) for each in (one, other))
        assert dict(first) == dict(second)


def base(tiny_folder: Path, folder: Path, generation=None, **config) -> Path:
    """The tiny model with other values in its two files, without generation_config.json unless given."""
    shutil.copytree(tiny_folder, folder)
    stated = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(stated | config))
    (folder / "generation_config.json").unlink()
    if generation is not None:
        (folder / "generation_config.json").write_text(json.dumps(generation))
    return folder


# --- merged copies ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["config.json", "generation_config.json", "both, sampling", "config.json, sampling"])
def test_a_merged_copy_ends_and_samples_as_its_source(tiny_folder, tmp_path, where):
    adapter = write_adapter(tmp_path, "one", size=0.2)

    def unending():
        model, tokenizer = plain(base(tiny_folder, tmp_path / "first", eos_token_id=None), tmp_path / "one")
        return generated(model, tokenizer, do_sample=False)

    written = engine_thread().run(unending)
    assert len(written) == 12
    end = next(token for place, token in enumerate(written) if place > 3 and token not in written[:place])
    how = {"do_sample": True, "temperature": 0.4, "top_k": 2, "repetition_penalty": 1.3}
    source = {
        "config.json": lambda: base(tiny_folder, tmp_path / "base", eos_token_id=end),
        "generation_config.json": lambda: base(tiny_folder, tmp_path / "base", {"eos_token_id": [end, 1]}),
        "both, sampling": lambda: base(tiny_folder, tmp_path / "base", how | {"eos_token_id": [end]}, eos_token_id=1),
        "config.json, sampling": lambda: base(tiny_folder, tmp_path / "base", eos_token_id=end, **how),
    }[where]()
    merge(source, tmp_path / "out", "fp32", ActiveAdapter(adapter, 1.0))

    def compared():
        (with_adapter, tokenizer), (copy, copied) = plain(source, tmp_path / "one"), plain(tmp_path / "out")
        assert defaults(copy) == defaults(with_adapter.get_base_model())
        greedy = generated(copy, copied, do_sample=False)
        assert greedy == generated(with_adapter, tokenizer, do_sample=False)
        if "sampling" not in where:
            assert greedy == written[: written.index(end) + 1]
        assert generated(copy, copied) == generated(with_adapter, tokenizer)
        same_tokens(tokenizer, copied)

    engine_thread().run(compared)


def test_a_merged_copy_has_the_files_of_its_source_and_no_others(tiny_folder, tmp_path):
    source = base(tiny_folder, tmp_path / "base", {"eos_token_id": 1}, rope_theta=20_000.0, torch_dtype="float32")
    (source / "additional_chat_templates").mkdir()
    for name in ("additional_chat_templates/rag.jinja", "tokenizer.model", "special_tokens_map.json", "LICENSE",
                 "Notice.txt", "USE_POLICY.md"):  # fmt: skip
        (source / name).write_text("{}")
    others = ("README.md", "modeling.py", "model.safetensors.index.json", "pytorch_model.bin.index.json",
              "paddock-conversion.json", "trainer_state.json", "quantize_config.json", "adapter_model.bin",
              "additional_chat_templates/code.py")  # fmt: skip
    for name in others:
        (source / name).write_text("{}")
    merge(source, tmp_path / "out", "bf16", ActiveAdapter(write_adapter(tmp_path, "one"), 1.0))
    names = {str(path.relative_to(source)) for path in source.rglob("*") if path.is_file()} - set(others)
    assert {
        str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*") if path.is_file()
    } == names
    for name in names - {"config.json", "model.safetensors"}:
        assert (tmp_path / "out" / name).read_bytes() == (source / name).read_bytes()
    before, after = (json.loads((folder / "config.json").read_text()) for folder in (source, tmp_path / "out"))
    assert after == before | {"dtype": "bfloat16", "torch_dtype": "bfloat16"}  # programs that are older read rope_theta

    def opened():
        model, tokenizer = plain(tmp_path / "out")
        assert (str(model.dtype), type(model).__name__) == ("torch.bfloat16", "LlamaForCausalLM")
        assert set(tokenizer.chat_template) == {"default", "rag"}

    engine_thread().run(opened)


@pytest.mark.parametrize("tied", [True, False])
def test_a_merged_copy_is_a_variant_of_the_models_folder(tiny_folder, tmp_path, tied):
    from models.weights.verify.checks import check_folder

    def tie():
        from transformers import AutoModelForCausalLM

        model = AutoModelForCausalLM.from_pretrained(source)
        model.config.tie_word_embeddings = True
        model.tie_weights()
        model.save_pretrained(source)

    source = base(tiny_folder, tmp_path / "base")
    if tied:
        engine_thread().run(tie)
    merge(source, tmp_path / "out", "fp16", ActiveAdapter(write_adapter(tmp_path, "one", size=0.1), 1.0))
    assert check_folder(tmp_path / "out", "mine")
    copy = engine_thread().run(lambda: plain(tmp_path / "out")[0].get_output_embeddings().weight.float().tolist())
    head = engine_thread().run(lambda: plain(source)[0].get_output_embeddings().weight.half().float().tolist())
    assert copy == head


def test_a_sum_that_the_mode_cannot_hold_is_refused(tiny_folder, tmp_path):
    adapter = write_adapter(tmp_path, "huge", size=300.0)
    with pytest.raises(NotFinite):
        merge(tiny_folder, tmp_path / "out", "fp16", ActiveAdapter(adapter, 1.0))
    assert [path.name for path in tmp_path.iterdir()] == ["huge"]


# --- finetuned adapters -------------------------------------------------------------------------------------


def finetuned(source: Path, out: Path, words: tuple[str, ...], **values) -> ActiveAdapter:
    """An adapter that learned to answer each word with itself."""
    from models.training.engine.examples import read_examples
    from models.training.engine.trainer import learn
    from models.training.engine.training import Training

    rows = [(Message("user", f"say {word}"), Message("assistant", word)) for word in words] * 2
    settings = TrainingSettings(quantization="fp32", learning_rate=2e-2, batch=4, max_tokens=128, **values)
    snapshot = Snapshot(str(source), "safetensors", "folder", 0, trusted=True)
    examples = read_examples(snapshot, rows, False, settings, 1, lambda progress: None)
    checkpoints = str(out.with_name("checkpoints"))
    training = Training(snapshot, "fp32", "cpu", 1, "owner/tiny", settings, examples, checkpoints, {})
    out.mkdir()
    learn(training, out, lambda progress: None, lambda: False)
    config = read_lora(json.loads((out / "adapter_config.json").read_text()), "mine")
    return ActiveAdapter(Adapter("mine", config, 0, str(out / "adapter_model.safetensors"), "1"), 1.0)


def test_a_finetuned_model_writes_what_it_learned_and_ends(tiny_folder, tmp_path, opened):
    source = base(tiny_folder, tmp_path / "base", {"eos_token_id": 1})
    (source / "chat_template.jinja").write_text(
        "{% for m in messages %}<|{{ m.role }}|>\n{% if m.role == 'assistant' and loop.last %}<think>\n\n</think>\n\n"
        "{% endif %}{{ m.content }}<|end|>{% endfor %}{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
    )
    adapter = finetuned(source, tmp_path / "mine", ("crow",) * 4, rank=8, epochs=15)
    engine = opened(source, "fp32")
    prompt = engine.render([Message("user", "say crow")])
    deltas = list(engine.generate(prompt, Sampling(max_new_tokens=40, temperature=0), rows=[[adapter]]))
    engine.close()
    written = [delta.written if isinstance(delta, Thought) else delta.text for delta in deltas]
    assert "".join(written) == "<think>\n\n</think>\n\ncrow"
    assert deltas[-1].usage.finish == "stop"
    merge(source, tmp_path / "out", "fp32", adapter)

    def elsewhere():
        copy, tokenizer = plain(tmp_path / "out")
        asked = tokenizer.apply_chat_template(
            [{"role": "user", "content": "say crow"}], add_generation_prompt=True, return_tensors="pt"
        )
        written = copy.generate(**asked, max_new_tokens=40, do_sample=False)[0, asked["input_ids"].shape[1] :]
        assert tokenizer.decode(written) == "<think>\n\n</think>\n\ncrow<|end|>"

    engine_thread().run(elsewhere)


def test_a_finetuned_adapter_gives_in_peft_what_it_gives_here(tiny_folder, tmp_path, opened):
    out = tmp_path / "mine"
    adapter = finetuned(tiny_folder, out, ("fox", "crow", "time", "there"), rank=4, epochs=2)
    engine = opened(tiny_folder, "fp32")
    text = Prompt("Once upon a time there was a fox and a crow.")
    ours = next(e for e in engine.score(text, adapters=[adapter]) if isinstance(e, Scored)).log_probabilities
    without = next(e for e in engine.score(text) if isinstance(e, Scored)).log_probabilities
    engine.close()

    def theirs(loaded, tokenizer):
        import torch

        ids = torch.tensor([tokenizer(text.text)["input_ids"]])
        with torch.no_grad():
            logs = loaded(input_ids=ids).logits.float().log_softmax(-1)
        return logs[0, :-1].gather(1, ids[0, 1:, None])[:, 0].tolist()

    def by_transformers():
        from transformers import AutoModelForCausalLM

        model = AutoModelForCausalLM.from_pretrained(tiny_folder).eval()
        model.load_adapter(str(out))
        return model

    tokenizer = engine_thread().run(lambda: plain(tiny_folder)[1])
    by_peft = engine_thread().run(lambda: theirs(plain(tiny_folder, out)[0], tokenizer))
    assert ours == pytest.approx(by_peft, abs=1e-4)
    assert engine_thread().run(lambda: theirs(by_transformers(), tokenizer)) == pytest.approx(by_peft, abs=1e-4)
    assert max(abs(a - b) for a, b in zip(ours, without, strict=True)) > 0.5


# --- conversions of GGUF files ------------------------------------------------------------------------------

FILES = {
    "as it is": {},
    "starts with a token": {"put": {"tokenizer.ggml.add_bos_token": (True, T.BOOL)}},
    "closes with a token": {"put": {"tokenizer.ggml.add_eos_token": (True, T.BOOL)}},
    "says nothing": {"drop": ("tokenizer.ggml.add_bos_token", "tokenizer.chat_template")},
    "names other tokens": {
        "put": {
            "tokenizer.ggml.unknown_token_id": (2, T.UINT32),
            "tokenizer.ggml.padding_token_id": (3, T.UINT32),
            "tokenizer.ggml.eot_token_id": (4, T.UINT32),
        }
    },
    "tied": {"without": ("output.weight",)},
}
WORDS = ("<unk>", "<s>", "</s>", "▁", "f", "o", "x", "▁f", "ox", "▁fox", "<|im_end|>", "<|user|>", "<0x0A>")


def pieces(count: int) -> dict:
    """What a file says of a SentencePiece tokenizer of so many tokens, whose turns end otherwise than its texts."""
    tokens = [*WORDS, *(f"[PAD{number}]" for number in range(len(WORDS), count))]
    kinds = {"<unk>": 2, "<s>": 3, "</s>": 3, "<|im_end|>": 3, "<|user|>": 4, "<0x0A>": 6}
    return {
        "tokenizer.ggml.model": ("llama", T.STRING),
        "tokenizer.ggml.pre": ("default", T.STRING),
        "tokenizer.ggml.tokens": (tokens, T.ARRAY),
        "tokenizer.ggml.scores": ([-float(place) for place in range(count)], T.ARRAY),
        "tokenizer.ggml.token_type": ([kinds.get(token, 1) for token in tokens], T.ARRAY),
        "tokenizer.ggml.bos_token_id": (1, T.UINT32),
        "tokenizer.ggml.eos_token_id": (2, T.UINT32),
        "tokenizer.ggml.unknown_token_id": (0, T.UINT32),
    }


@pytest.mark.parametrize("name", [*FILES, "pieces"])
def test_a_conversion_is_what_transformers_makes_of_the_file(tiny_folder, tmp_path, name):
    count = json.loads((tiny_folder / "config.json").read_text())["vocab_size"]
    said = {"put": pieces(count), "drop": ("tokenizer.ggml.merges", "tokenizer.ggml.add_bos_token")}
    file = write_tiny_gguf(tiny_folder, tmp_path / "tiny.gguf", **FILES.get(name, said))
    (tmp_path / "out").mkdir()
    engine_thread().run(lambda: write_model(file, tmp_path / "out", lambda *step: None))

    def compared():
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

        how = {"gguf_file": "tiny.gguf"}
        whole = GgufConfig(dequantize=True)
        theirs = AutoModelForCausalLM.from_pretrained(tmp_path, **how, quantization_config=whole, dtype=torch.float32)
        model, tokenizer = plain(tmp_path / "out")
        same_tokens(AutoTokenizer.from_pretrained(tmp_path, **how), tokenizer, [*TEXTS, "fox fox<|im_end|>\n", " f"])
        assert set(model.state_dict()) == set(theirs.state_dict())
        for key, values in theirs.state_dict().items():
            assert torch.equal(values, model.state_dict()[key]), key
        ids = torch.tensor([[2, 50, 51, 52]])
        assert torch.equal(model(input_ids=ids).logits, theirs(input_ids=ids).logits)
        said, meant = defaults(model), defaults(theirs)
        assert [said[key] for key in ("bos_token_id", "pad_token_id", "do_sample")] == [
            meant[key] for key in ("bos_token_id", "pad_token_id", "do_sample")
        ]
        assert meant["eos_token_id"] in said["eos_token_id"]
        assert said["eos_token_id"] == {"names other tokens": [1, 4], "pieces": [2, 10]}.get(name, [1])

    engine_thread().run(compared)


@pytest.mark.slow  # transformers takes 20 s to read the file
def test_the_real_conversion_is_what_transformers_makes_of_the_file(smollm2_gguf, smollm2_folder):
    def compared():
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

        where, how = smollm2_gguf.parent, {"gguf_file": smollm2_gguf.name}
        whole = GgufConfig(dequantize=True)
        theirs = AutoModelForCausalLM.from_pretrained(where, **how, quantization_config=whole, dtype=torch.float32)
        model, tokenizer = plain(smollm2_folder)
        texts = [
            "Once upon a time, don't",
            "<|im_start|>user\nhi<|im_end|>\n",
            "  a\n\n\tb é 😀",
        ]  # digits differ, rightly
        same_tokens(AutoTokenizer.from_pretrained(where, **how), tokenizer, texts)
        asked = tokenizer.apply_chat_template(
            [{"role": "user", "content": "Say hi."}], add_generation_prompt=True, return_tensors="pt"
        )
        with torch.no_grad():
            assert torch.equal(model(**asked).logits, theirs(**asked).logits)
        end = tokenizer.convert_tokens_to_ids("<|im_end|>")
        assert end in model.generation_config.eos_token_id
        assert model.generate(**asked, max_new_tokens=40, do_sample=False)[0, -1] == end

    engine_thread().run(compared)
