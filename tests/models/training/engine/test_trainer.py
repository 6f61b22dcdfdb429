"""A LoRA learned on a tiny model: which tokens carry the loss, what is stored, and that a run can be taken up again."""

import hashlib
import json
import socket
from dataclasses import replace
from pathlib import Path

import pytest

from models.domain.errors import NotTrainable, TrainingDiverged, TrainingStopped
from models.domain.load import Snapshot
from models.domain.lora import read_lora
from models.domain.messages import Message
from models.domain.request import BasePrompt
from models.domain.training import TrainingSettings
from models.domain.training_events import Step
from models.engines.transformers.engine_thread import engine_thread
from models.training.engine.answer_labels import UNLABELLED
from models.training.engine.batches import collate
from models.training.engine.examples import read_examples, split
from models.training.engine.methods import CONFIG, MATRICES
from models.training.engine.trainer import learn
from models.training.engine.training import FINISH, MARK, Training

WORDS = ["fox", "crow", "tags", "time", "once", "upon", "was", "there", "and", "naive"]
TOY = [(Message("user", f"say {word}"), Message("assistant", word)) for word in WORDS] * 2
SETTINGS = TrainingSettings(rank=4, epochs=2, learning_rate=2e-2, batch=4, max_tokens=64, quantization="fp32")
THREADS = 1  # the model is so small that a second one only waits
QUESTION, ANSWER = Message("user", "Say fox."), Message("assistant", "A fox 😀.")
TALK = (Message("system", "Be short."), QUESTION, ANSWER, Message("user", "And?"), Message("assistant", "crow"))


def snapshot(folder: Path) -> Snapshot:
    return Snapshot(str(folder), "safetensors", "folder", 0, trusted=True)


def examples(folder: Path, rows=TOY, base=False, settings=SETTINGS):
    return read_examples(snapshot(folder), rows, base, settings, THREADS, lambda progress: None)


def training(folder: Path, out: Path, settings=SETTINGS, resume="", mode="fp32") -> Training:
    return Training(
        snapshot(folder), mode, "cpu", THREADS, "owner/tiny", settings, examples(folder, settings=settings),
        str(out / "checkpoints"), {"made": "here"}, (), resume,
    )  # fmt: skip


def train(folder: Path, out: Path, **values):
    out.mkdir(exist_ok=True)
    return learn(training(folder, out, **values), out, lambda progress: None, lambda: False)


def decoded(folder: Path, ids) -> str:
    def work() -> str:
        from transformers import AutoTokenizer

        return AutoTokenizer.from_pretrained(folder).decode(ids, clean_up_tokenization_spaces=False)

    return engine_thread().run(work)


def matrices(folder: Path):
    from safetensors.torch import load_file

    return engine_thread().run(lambda: load_file(folder / MATRICES))


def spans_of(folder: Path, example) -> list[str]:
    """The text of each unbroken run of labelled tokens."""
    runs, before = [], UNLABELLED
    for token, learned in zip(example.ids, example.labels, strict=True):
        assert learned in (token, UNLABELLED)
        if learned != UNLABELLED:
            runs = [*runs, [token]] if before == UNLABELLED else [*runs[:-1], [*runs[-1], token]]
        before = learned
    return [decoded(folder, run) for run in runs]


# --- which tokens carry the loss ----------------------------------------------------------------------------


def test_only_answers_and_their_ends_are_labelled(tiny_folder):
    found = examples(tiny_folder, [TALK, TALK]).train[0]
    text = "<|system|>Be short.<|end|><|user|>Say fox.<|end|><|assistant|>A fox 😀.<|end|><|user|>And?<|end|>"
    assert decoded(tiny_folder, found.ids) == f"{text}<|assistant|>crow<|end|>"
    assert spans_of(tiny_folder, found) == ["A fox 😀.<|end|>", "crow<|end|>"]


def test_a_base_model_gets_the_prompt_of_the_chat_tab(tiny_folder):
    found = examples(tiny_folder, [TALK, TALK], base=True).train
    first = "Be short.\n\nQ: Say fox.\nA: A fox 😀."
    # What the model sees of an earlier answer has no end token, so each answer is an example of its own.
    assert [decoded(tiny_folder, example.ids) for example in found] == [
        f"{first}<|end|>",
        f"{first}\n\nQ: And?\nA: crow<|end|>",
    ]
    assert first.startswith(BasePrompt().write(TALK[:2]))
    learned = [spans_of(tiny_folder, example) for example in found]
    assert learned == [[" A fox 😀.<|end|>"], [" crow<|end|>"]]


def test_an_unanswered_question_at_the_end_is_left_away(tiny_folder):
    found = examples(tiny_folder, [TALK[:4], TALK]).train + examples(tiny_folder, [TALK[:4], TALK]).held_out
    shorter = min(found, key=lambda example: len(example.ids))
    assert decoded(tiny_folder, shorter.ids).endswith("A fox 😀.<|end|>")


def test_long_rows_are_cut_and_those_without_an_answer_left_out(tiny_folder):
    long = (QUESTION, Message("assistant", "fox " * 100))
    unreached = (Message("user", "fox " * 100), ANSWER)
    found = examples(tiny_folder, [TALK[1:3], long, unreached])
    assert (found.counts.train, found.counts.held_out, found.counts.cut, found.counts.left_out) == (1, 1, 1, 1)
    assert found.longest == 64
    with pytest.raises(NotTrainable, match="1 of 2 rows"):
        examples(tiny_folder, [long, unreached])


def test_the_split_is_seeded_and_leaves_both_sides_a_row(tiny_folder):
    rows = examples(tiny_folder, TOY)
    assert (len(rows.train), len(rows.held_out)) == (18, 2)
    assert examples(tiny_folder, TOY) == rows
    assert examples(tiny_folder, TOY, settings=replace(SETTINGS, seed=1)) != rows
    two = split([[example] for example in rows.held_out], replace(SETTINGS, held_out=0.001))
    assert (two.counts.train, two.counts.held_out) == (1, 1)


def test_examples_of_one_row_stay_on_one_side_of_the_split(tiny_folder):
    rows = [(QUESTION, Message("assistant", f"{word} one"), QUESTION, Message("assistant", f"{word} two"))
            for word in WORDS]  # fmt: skip
    found = examples(tiny_folder, rows, base=True, settings=replace(SETTINGS, held_out=0.3, max_tokens=200))
    assert (found.counts.train, found.counts.held_out) == (7, 3)
    sides = [{decoded(tiny_folder, example.ids).split("A: ")[1].split()[0] for example in side}
             for side in (found.train, found.held_out)]  # fmt: skip
    assert (len(found.train), len(found.held_out)) == (14, 6)
    assert not sides[0] & sides[1]


def test_of_a_long_row_the_answers_within_the_limit_are_used(tiny_folder):
    row = (*TALK[:3], Message("user", "fox " * 100), Message("assistant", "crow"))
    for base in (False, True):
        found = examples(tiny_folder, [row, TALK], base=base)
        assert (found.counts.cut, found.counts.left_out) == (1, 0)
        assert found.longest <= 64
        texts = [decoded(tiny_folder, example.ids) for example in (*found.train, *found.held_out)]
        assert len(texts) == (3 if base else 2)


def test_an_answer_that_is_cut_learns_no_end(tiny_folder):
    long = (QUESTION, Message("assistant", "fox " * 100))
    found = examples(tiny_folder, [long, long]).train[0]
    assert len(found.ids) == 64
    assert found.labels[-1] != UNLABELLED
    assert "<|end|>" not in spans_of(tiny_folder, found)[0]


def test_a_row_that_cannot_be_learned_exactly_is_named(tiny_folder):
    rows = [TALK, (QUESTION, Message("assistant", "Say <|end|> to stop."))]
    with pytest.raises(NotTrainable, match=r"<\|end\|> in it, which ends answers, as in row 2\. Change that row"):
        examples(tiny_folder, rows)


def test_a_batch_has_logits_only_where_something_follows_to_learn():
    rows = [
        {"input_ids": [5, 6, 7], "labels": [-100, -100, 7]},
        {"input_ids": [5, 8, 9, 1], "labels": [-100] * 3 + [1]},
    ]
    batch = engine_thread().run(lambda: {name: tensor.tolist() for name, tensor in collate(rows).items()})
    assert batch["input_ids"] == [[5, 6, 7, 0], [5, 8, 9, 1]]
    assert batch["attention_mask"] == [[1, 1, 1, 0], [1, 1, 1, 1]]
    assert batch["logits_to_keep"] == [1, 2]
    assert batch["shift_labels"] == [[7, -100], [-100, 1]]


# --- what is learned and stored -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def no_network():
    """Nothing may reach out: any connection is an error."""

    def refuse(*arguments):
        raise AssertionError("training opened a connection")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", refuse)
        yield


@pytest.fixture(scope="module")
def trained(tiny_folder, tmp_path_factory, no_network):
    """A whole run: its folder, what it reported, and hashes of the base's files before it."""
    before = hashes(tiny_folder)
    out = tmp_path_factory.mktemp("trained")
    return out, train(tiny_folder, out), before


def hashes(folder: Path) -> dict[str, str]:
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in folder.iterdir()}


def test_the_loss_falls_and_is_told_by_epoch(trained):
    learned = trained[1]
    assert [epoch.epoch for epoch in learned.epochs] == [1, 2]
    assert learned.epochs[1].train < 0.6 * learned.epochs[0].train
    assert learned.after < 0.6 * learned.before


def test_the_base_is_what_it_was(tiny_folder, trained):
    assert hashes(tiny_folder) == trained[2]


def test_the_files_are_a_plain_adapter_of_half_the_bytes(trained):
    out, learned, _ = trained
    assert sorted(file.name for file in out.iterdir()) == [CONFIG, MATRICES, "checkpoints"]
    config = json.loads((out / CONFIG).read_text())
    assert config["base_model_name_or_path"] == "owner/tiny"
    assert config["inference_mode"] is True
    plain = read_lora(config, "mine")
    assert (plain.rank, plain.alpha, plain.targets) == (4, 16, SETTINGS.targets)
    stored = matrices(out)
    assert {str(matrix.dtype) for matrix in stored.values()} == {"torch.bfloat16"}
    assert sum(matrix.numel() for matrix in stored.values()) == learned.parameters
    assert all(matrix.abs().sum() > 0 for matrix in stored.values())


def independent_loss(folder: Path, out: Path | None, rows, prepare=lambda model: model, **how) -> float:
    """By transformers and PEFT alone: row by row, no padding, torch's own loss on full logits."""

    def work() -> float:
        import torch
        from peft import PeftModel
        from transformers import AutoModelForCausalLM

        model = prepare(AutoModelForCausalLM.from_pretrained(folder, **how))
        model = PeftModel.from_pretrained(model, out).eval() if out else model.eval()
        losses, count = 0.0, 0
        with torch.no_grad():
            for row in rows:
                ids, labels = torch.tensor([row.ids]), torch.tensor([row.labels])
                learned = int((labels[:, 1:] != UNLABELLED).sum())
                losses += float(model(input_ids=ids, labels=labels).loss) * learned
                count += learned
        return losses / count

    return engine_thread().run(work)


def test_the_reported_losses_are_those_of_a_plain_forward_pass(tiny_folder, trained):
    out, learned, _ = trained
    rows = examples(tiny_folder).held_out
    assert independent_loss(tiny_folder, None, rows, dtype="float32") == pytest.approx(learned.before, abs=1e-3)
    assert independent_loss(tiny_folder, out, rows, dtype="float32") == pytest.approx(learned.after, abs=1e-3)


def test_an_interrupted_run_goes_on_to_the_same_adapter(tiny_folder, trained, tmp_path, capfd):
    steps = []

    def stopped() -> bool:
        return len(steps) > 6  # in the second epoch of five steps

    interrupted = training(tiny_folder, tmp_path)
    with pytest.raises(TrainingStopped):
        learn(interrupted, tmp_path, lambda step: steps.append(step) if step.stage == "train" else None, stopped)
    (checkpoint,) = (tmp_path / "checkpoints").glob("checkpoint-*")
    assert json.loads((checkpoint / MARK).read_text()) == {"made": "here"}
    learned = train(tiny_folder, tmp_path, resume=str(checkpoint))
    assert learned == trained[1]
    assert (tmp_path / MATRICES).read_bytes() == (trained[0] / MATRICES).read_bytes()
    assert (tmp_path / CONFIG).read_bytes() == (trained[0] / CONFIG).read_bytes()
    assert capfd.readouterr() == ("", "")
    (last,) = (tmp_path / "checkpoints").glob("checkpoint-*")
    assert train(tiny_folder, tmp_path, resume=str(last)) == learned  # nothing is left to do


def test_accumulated_batches_are_one_step(tiny_folder, tmp_path):
    learned = train(tiny_folder, tmp_path, settings=replace(SETTINGS, batch=2, accumulate=2, epochs=1))
    assert learned.after < learned.before


def test_a_base_in_four_bits_learns_about_as_well(tiny_folder, trained, tmp_path):
    pytest.importorskip("bitsandbytes")
    settings = replace(SETTINGS, quantization="nf4")
    learned = train(tiny_folder, tmp_path, settings=settings, mode="nf4")
    # Without gradients through some layers, as in the layout for inference, it stays far above.
    assert learned.after == pytest.approx(trained[1].after, rel=0.15)

    def prepare(model):
        import torch
        from peft import prepare_model_for_kbit_training

        for module in model.modules():  # or a pass in eval mode would round the constants of the quantization
            if isinstance(module, torch.nn.Linear):
                module.support_avx512bf16_for_cpu = False
        return prepare_model_for_kbit_training(model, use_gradient_checkpointing=False)

    from models.engines.transformers.recipes import RECIPES

    def how():
        from transformers import BitsAndBytesConfig

        return BitsAndBytesConfig(**RECIPES["nf4"].bits)

    rows = examples(tiny_folder, settings=settings).held_out
    config = engine_thread().run(how)
    again = independent_loss(tiny_folder, tmp_path, rows, prepare, dtype="bfloat16", quantization_config=config)
    assert again == pytest.approx(learned.after, abs=2e-2)  # bf16 rounds a padded batch otherwise


def test_a_base_in_eight_bits_learns_about_as_well(tiny_folder, trained, tmp_path):
    pytest.importorskip("bitsandbytes")
    learned = train(tiny_folder, tmp_path, settings=replace(SETTINGS, quantization="int8"), mode="int8")
    assert learned.before == pytest.approx(trained[1].before, rel=0.01)
    assert learned.after == pytest.approx(trained[1].after, rel=0.15)


def test_all_weights_learn_and_are_stored_as_a_model_of_its_own(tiny_folder, trained, tmp_path):
    settings = replace(SETTINGS, method="full", learning_rate=2e-3)
    learned = train(tiny_folder, tmp_path, settings=settings)
    assert learned.before == pytest.approx(trained[1].before, abs=1e-6)
    assert learned.after < 0.6 * learned.before
    assert hashes(tiny_folder) == trained[2]
    rows = examples(tiny_folder).held_out
    assert independent_loss(tmp_path, None, rows, dtype="float32") == pytest.approx(learned.after, abs=1e-3)

    def work():
        from transformers import AutoModelForCausalLM

        old, new = (dict(AutoModelForCausalLM.from_pretrained(f).named_parameters()) for f in (tiny_folder, tmp_path))
        assert {str(value.dtype) for value in new.values()} == {"torch.bfloat16"}
        return [name for name in old if bool((old[name].bfloat16() == new[name]).all())], sum(
            v.numel() for v in old.values()
        )

    same, count = engine_thread().run(work)
    assert same == []
    assert count == learned.parameters
    assert decoded(tmp_path, examples(tmp_path).train[0].ids) == decoded(
        tiny_folder, examples(tiny_folder).train[0].ids
    )


def test_with_patience_it_ends_and_keeps_the_best(tiny_folder, trained, tmp_path):
    said = []
    out, worse = tmp_path / "good", tmp_path / "worse"
    patient = replace(SETTINGS, patience=1)
    out.mkdir()
    worse.mkdir()
    learned = learn(training(tiny_folder, out, patient), out, lambda step: None, lambda: False)
    assert learned == trained[1], "the last epoch was the best"
    assert (out / MATRICES).read_bytes() == (trained[0] / MATRICES).read_bytes()
    high = replace(patient, learning_rate=1.0, alpha=4096, epochs=9)
    learned = learn(training(tiny_folder, worse, high), worse, lambda step: said.append(step.detail), lambda: False)
    assert len(learned.epochs) == 1
    assert learned.epochs[0].held_out > 1.1 * learned.before
    assert learned.after == learned.before, "the adapter as it began"
    assert any("the learning rate 1 is too high for this; try 0.1." in text for text in said)


def test_a_run_that_is_asked_to_finish_ends_with_what_it_has(tiny_folder, tmp_path):
    asked = training(tiny_folder, tmp_path)

    def on_progress(step):
        if isinstance(step, Step) and step.done == 3:
            asked.beside(FINISH).touch()

    learned = learn(asked, tmp_path, on_progress, lambda: False)
    (epoch,) = learned.epochs
    assert 0.5 < epoch.epoch < 1
    assert learned.after < learned.before
    assert (tmp_path / MATRICES).is_file()
    assert not list((tmp_path / "checkpoints").glob("checkpoint-*")), "nothing goes on within an epoch"


def test_a_run_that_is_asked_to_finish_keeps_its_best(tiny_folder, tmp_path):
    asked = training(tiny_folder, tmp_path, settings=replace(SETTINGS, learning_rate=1, epochs=3))

    def on_progress(step):
        if isinstance(step, Step) and step.done == 4:
            asked.beside(FINISH).touch()

    learned = learn(asked, tmp_path, on_progress, lambda: False)
    assert min(epoch.held_out for epoch in learned.epochs) > learned.before
    assert learned.after == pytest.approx(learned.before, abs=1e-3)


def test_modules_that_are_not_there_are_refused(tiny_folder, tmp_path):
    with pytest.raises(NotTrainable, match="no linear module fc1") as refused:
        train(tiny_folder, tmp_path, settings=replace(SETTINGS, targets=("q_proj", "fc1")))
    assert "down_proj" in refused.value.hint


@pytest.mark.parametrize(("number", "step"), [(1, 0), (2, 1), (7, 5)])  # held out, while learning, held out
def test_a_loss_that_is_no_number_ends_the_run_before_it_is_kept(tiny_folder, tmp_path, monkeypatch, number, step):
    seen = []
    monkeypatch.setattr("math.isfinite", lambda value: seen.append(value) or len(seen) != number)
    with pytest.raises(TrainingDiverged, match=f"after step {step}:"):
        train(tiny_folder, tmp_path)
    assert not list((tmp_path / "checkpoints").glob("checkpoint-*"))
