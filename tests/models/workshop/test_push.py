"""What is published, under which licence, and how it gets there, against a stand-in of the Hub over HTTP."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest
import yaml
from huggingface_hub import constants
from huggingface_hub.utils import _http
from lora_files import write_adapter

from models.__main__ import main
from models.domain.errors import CannotPublish, CannotSave, NoHubToken, PushRefused, UploadBroken
from models.domain.messages import Progress
from models.domain.settings import Settings
from models.domain.training import RowCounts, TrainingReport, TrainingSettings
from models.domain.variant import Variant
from models.runtime import Runtime
from models.weights.adapters import sources
from models.weights.adapters.places import FINETUNED
from models.weights.hub import access
from models.workshop.licences import require, terms_of
from models.workshop.push import Wanted, publication, push, push_variant
from models.workshop.save import save

sys.path.insert(0, str(Path(__file__).parents[1] / "space"))  # for the helpers there
sys.path.insert(0, str(Path(__file__).parents[1] / "weights"))

from fake_hub import FakeHub, Repo
from fake_spaces import WRITER, FakeSpaces, Space

NAME, BASE = "me/pirate", "HuggingFaceTB/SmolLM2-135M-Instruct"
TINY = Wanted("me/copy", licence="mit")


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeSpaces]:
    server = FakeSpaces()
    monkeypatch.setattr(constants, "ENDPOINT", server.url)
    monkeypatch.setenv("HF_TOKEN", WRITER)
    monkeypatch.setattr(_http.time, "sleep", lambda seconds: None)
    yield server
    server.close()


@pytest.fixture
def runtime(tmp_path: Path, tiny_folder: Path) -> Runtime:
    """A machine whose models folder holds me/tiny, of which no licence is known."""
    shutil.copytree(tiny_folder, tmp_path / "models/me/tiny")
    write_adapter(tmp_path / "adapters", "mine", seed=3, size=0.2)
    where = {"models_dir": str(tmp_path / "models"), "adapters_dir": str(tmp_path / "adapters")}
    return Runtime(Settings(cache_dir=str(tmp_path / "cache"), hub_ids=True, threads=1, **where))


def quiet(step: Progress) -> None:
    pass


def head(card: bytes) -> dict[str, object]:
    """The front matter of a README.md."""
    return dict(yaml.safe_load(card.decode().split("---")[1]))


def test_a_pushed_adapter_is_found_again_and_works(hub: FakeSpaces, tmp_path: Path, capsys, monkeypatch) -> None:
    folder = tmp_path / "pirate"
    shutil.copytree(FINETUNED / "pirate", folder)
    for name in (".env", "optimizer.pt", "README.md", "notes.txt"):
        (folder / name).write_text("hf_secret")
    assert main(["push", str(folder), NAME, "--private"]) == 0
    said = capsys.readouterr()
    assert said.out == f"https://huggingface.co/{NAME}\n"
    assert WRITER not in said.out + said.err
    space = hub.spaces[NAME]
    assert space.private
    pushed = {name: data for name, data in space.files.items() if name != ".gitattributes"}
    assert sorted(pushed) == ["README.md", "adapter_config.json", "adapter_model.safetensors", "training.json"]
    assert all(pushed[name] == (folder / name).read_bytes() for name in pushed if name != "README.md")
    card = head(pushed["README.md"])
    assert (card["base_model"], card["license"], card["library_name"]) == (BASE, "apache-2.0", "peft")
    report = json.loads((folder / "training.json").read_text())
    assert f"{report['before']:.3f} nats a token before" in pushed["README.md"].decode()
    # The Hub registers an adapter by its card; there it is found, and downloaded.
    there = FakeHub()
    relation = f"base_model:{card['base_model_relation']}:{card['base_model']}"
    there.repos[NAME] = Repo(pushed, tags=(relation,))
    monkeypatch.setattr(constants, "ENDPOINT", there.url)
    template = there.url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    access.forget()
    monkeypatch.setenv("PADDOCK_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    assert main(["adapters", "smollm2-135m-instruct", "--hub"]) == 0
    assert NAME in capsys.readouterr().out
    runtime = Runtime(Settings(cache_dir=str(tmp_path / "cache")))
    model = runtime.card(Variant("smollm2-135m-instruct"))
    found = sources.fetch(NAME, model, runtime.settings, quiet, lambda: False)
    assert Path(found.file).read_bytes() == (FINETUNED / "pirate/adapter_model.safetensors").read_bytes()
    there.close()
    access.forget()


def test_a_dry_run_asks_nobody(hub: FakeSpaces, capsys) -> None:
    assert main(["push", str(FINETUNED / "json"), NAME, "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert f"base_model: {BASE}" in shown
    assert "adapter_model.safetensors" in shown
    assert main(["push", "smollm2-135m-instruct@bf16+pirate", NAME, "--dry-run"]) == 0
    assert hub.asked == []


@pytest.mark.parametrize("spelling", ["me/tiny@fp32", "me/tiny@bf16+mine:0.5", "me/tiny@nf4"])
def test_a_variant_goes_with_what_it_is_made_of(hub: FakeSpaces, runtime: Runtime, spelling: str) -> None:
    sizes: dict[str, int] = {}
    push_variant(runtime, Variant.parse(spelling), TINY, quiet, lambda what: sizes.update(what.sizes))
    space = hub.spaces[TINY.repo]
    assert {"config.json", "model.safetensors", "tokenizer.json", "made.json", "README.md"} <= set(space.files)
    made = json.loads(space.files["made.json"])
    assert made["base"] == "me/tiny"
    assert made["adapters"] == (["mine:0.5"] if "mine" in spelling else [])
    card = head(space.files["README.md"])
    assert (card["license"], card["base_model"]) == ("mit", "me/tiny")
    assert card["base_model_relation"] == ("quantized" if "nf4" in spelling else "finetune")
    assert list((runtime.settings.cache / "publishing").iterdir()) == []
    assert sizes == {name: len(data) for name, data in space.files.items() if name != ".gitattributes"}


def test_a_gguf_file_goes_with_its_figures(hub: FakeSpaces, tmp_path: Path) -> None:
    from tiny_ggufs import write_gguf

    file = tmp_path / "tiny-q8_0.gguf"
    write_gguf("llama", file)
    made = {"base": BASE, "licence": "Apache-2.0", "quantization": "q8_0", "figures": {"perplexity": 12.5}}
    (tmp_path / f"{file.name}.made.json").write_text(json.dumps(made))
    (tmp_path / "other.txt").write_text("x")
    assert main(["push", str(file), "me/tiny-gguf"]) == 0
    files = hub.spaces["me/tiny-gguf"].files
    assert set(files) == {".gitattributes", "README.md", file.name}
    assert "| 12.5 |" in files["README.md"].decode()
    assert head(files["README.md"])["base_model_relation"] == "quantized"


def report_of(base: str, on: tuple[str, ...] = (), method: str = "lora") -> str:
    """A training.json."""
    rows, losses = RowCounts(900, 100), {"before": 3.25, "after": 1.125}
    facts = {"data": "pirates.jsonl", "data_sha256": "", "epochs": (), "trained_parameters": 1, "seconds": 1.0}
    machine = {"resumed": False, "versions": {"torch": "2"}, "machine": {"accelerator": "cpu"}}
    settings = TrainingSettings(method=method)
    report = TrainingReport(
        base=base, base_revision="abc", rows=rows, settings=settings, on=on, **losses, **facts, **machine
    )  # type: ignore[arg-type]
    return json.dumps(asdict(report))


def test_a_model_whose_own_weights_were_trained_goes_with_its_figures(runtime: Runtime, tmp_path: Path) -> None:
    folder = tmp_path / "models/me/tiny"
    (folder / "training.json").write_text(report_of(BASE, method="full"))
    what = publication(runtime, folder, Wanted("me/full"))
    assert "training.json" in what.files
    assert head(what.card.encode())["base_model"] == BASE
    assert head(what.card.encode())["license"] == "apache-2.0"
    assert "900 rows to train on" in what.card
    assert "3.250 nats a token before, 1.125 after" in what.card
    assert "rank" not in what.card  # it has none


def test_an_adapter_that_needs_others_says_so(runtime: Runtime, tmp_path: Path) -> None:
    folder = Path(write_adapter(tmp_path / "adapters", "upper", seed=4, size=0.2).file).parent
    (folder / "training.json").write_text(report_of(BASE, ("me/lower", "pirate:0.5")))
    card = publication(runtime, folder, Wanted("me/upper", base=BASE)).card
    assert "only with them: me/lower at weight 1, pirate at weight 0.5." in card


@pytest.mark.parametrize("stated", ["", "local/stories"])
def test_what_only_this_machine_has_is_no_base(runtime: Runtime, tmp_path: Path, stated: str) -> None:
    folder = tmp_path / "models/me/tiny"
    (folder / "training.json").write_text(report_of("local/stories", method="full"))
    with pytest.raises(CannotPublish, match="Publish that model first, and name its Hub id here with --base"):
        publication(runtime, folder, Wanted("me/full", base=stated, licence="mit"))
    what = publication(runtime, folder, Wanted("me/full", base="me/stories", licence="mit"))
    assert "local/" not in what.card
    assert json.loads(what.files["training.json"])["base"] == "me/stories"  # type: ignore[arg-type]


# --- what is refused ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("licence", "repo", "why"),
    [
        ("", "me/x", "is not known"),
        ("unknown", "me/x", "is not known"),
        ("other", "me/x", "is not known"),
        ("cc-by-nc-nd-4.0", "me/x", "forbids changed versions"),
        ("Llama 3.2 Community License", "me/pirate", "begins with Llama"),
        ("llama3.1", "me/Llama-pirate", "text to go along"),
        ("some-new-terms", "me/x", "is not one whose terms are known"),
    ],
)
def test_licences_that_do_not_let_it(licence: str, repo: str, why: str) -> None:
    with pytest.raises(CannotPublish, match=why):
        require(licence, "them/base", repo, False, "it")


def test_what_licences_ask_for() -> None:
    assert require("Llama 3.2 Community License", "them/base", "me/Llama-x", True, "it").notice.startswith("Built with")
    assert require("Apache-2.0", "them/base", "me/x", False, "it").id == "apache-2.0"
    spelled = {card.licence for card in Runtime().catalog.values() if card.licence}
    assert not {name for name in spelled if terms_of(name) is None}  # the catalog's are all known


def test_nothing_is_sent_of_what_is_refused(hub: FakeSpaces, runtime: Runtime, tmp_path: Path) -> None:
    own = Variant.parse("me/tiny@fp32")
    with pytest.raises(CannotPublish, match="licence of me/tiny is not known"):
        push_variant(runtime, own, Wanted("me/copy"), quiet, print)
    assert not (runtime.settings.cache / "publishing").exists()  # nothing is written before that is said
    with pytest.raises(CannotPublish, match="OWNER/NAME"):
        push_variant(runtime, own, Wanted("copy", licence="mit"), quiet, print)
    with pytest.raises(CannotSave):
        push_variant(runtime, own.resolved("dynamic-int8"), TINY, quiet, print)
    save(runtime, own, tmp_path / "out", 10**9, quiet)
    (tmp_path / "out/made.json").unlink()
    with pytest.raises(CannotPublish, match="not noted"):
        publication(runtime, tmp_path / "out", TINY)
    shutil.copytree(tmp_path / "adapters/mine", tmp_path / "trained")
    config = json.loads((tmp_path / "trained/adapter_config.json").read_text())
    (tmp_path / "trained/adapter_config.json").write_text(json.dumps(config | {"base_model_name_or_path": "/home/me"}))
    with pytest.raises(CannotPublish, match="no Hub id"):
        publication(runtime, tmp_path / "trained", TINY)
    stated = publication(runtime, tmp_path / "trained", Wanted("me/copy", base=BASE))
    assert json.loads(stated.files["adapter_config.json"])["base_model_name_or_path"] == BASE  # type: ignore[arg-type]
    assert hub.asked == []


def test_a_repository_of_something_else_is_left_alone(hub: FakeSpaces, runtime: Runtime) -> None:
    hub.spaces[NAME] = Space({"dataset.parquet": b"mine", "README.md": b""})
    with pytest.raises(CannotPublish, match="holds other files"):
        push(runtime, publication(runtime, FINETUNED / "json", Wanted(NAME)), False, quiet)
    assert hub.spaces[NAME].files == {"dataset.parquet": b"mine", "README.md": b""}


def test_a_broken_upload_goes_on_where_it_stopped(hub: FakeSpaces, runtime: Runtime, tmp_path: Path) -> None:
    save(runtime, Variant.parse("me/tiny@fp32"), tmp_path / "out", 60_000, quiet)
    what = publication(runtime, tmp_path / "out", TINY)
    large = [name for name in what.sizes if name.endswith(".safetensors")]
    seen = []

    def step(progress: Progress) -> None:
        seen.append(progress)
        if progress.stage == "upload" and progress.detail == large[2]:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        push(runtime, what, False, step)
    assert hub.spaces[TINY.repo].commits == []  # nobody sees half a model
    arrived = set(hub.stored)
    assert len(arrived) == 2
    hub.put.clear()
    push(runtime, what, False, seen.append)
    assert not arrived & set(hub.put)  # no file was sent twice
    assert len(hub.stored) == len(large)
    hub.put.clear()
    assert len(hub.spaces[TINY.repo].commits) == 1
    assert seen[-1].done == seen[-1].total == sum(what.sizes.values())
    push(runtime, what, False, quiet)  # nothing has changed
    assert hub.put == []


def test_the_hubs_own_words(hub: FakeSpaces, runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    what = publication(runtime, FINETUNED / "json", Wanted(NAME))
    for status, kind, said in ((402, PushRefused, "all of your storage"), (504, UploadBroken, "504")):
        hub.refuse["POST /api/repos/create"] = (status, "You have used all of your storage." if status < 500 else "")
        with pytest.raises(kind, match=said) as caught:
            push(runtime, what, True, quiet)
        assert WRITER not in str(caught.value)
    monkeypatch.setenv("HF_TOKEN", "")
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", "/nowhere")
    with pytest.raises(NoHubToken):
        push(runtime, what, True, quiet)
