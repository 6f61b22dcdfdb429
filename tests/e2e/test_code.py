"""Use from code and Use elsewhere: what the panels and docs/code.md show is run, against a live server."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import pytest
from playwright.sync_api import Locator, expect

from models.domain.elsewhere import Recipe
from tests.conftest import ROOT, SMOLLM2, ServedApp
from ui.programs.calls import Call
from ui.programs.examples import Place, examples

from .conftest import Visit

CLIENT = "@gradio/client@2.7.0"
PAGE = "http://127.0.0.1:7860"
HOSTILE = "It's “$(id)” `x` ${y} {{ z }} \\ \" 羊"
GGUF = f"{SMOLLM2}@gguf"
SHORT = {"max_new_tokens": 12, "temperature": 0}
# Those of docs/code.md, by endpoint.
CALLS = (
    Call("/chat", {"message": "Name three animals.", "variant": GGUF, "system": "Be brief.", **SHORT}),
    Call("/complete", {"prompt": "Once upon a time", "variant": GGUF, **SHORT}),
    Call("/compare", {"prompt": "Name a colour.", "variants": [GGUF, f"{GGUF}/kv8"], "max_new_tokens": 12}),
    Call("/plan", {"variant": "llama-3.1-8b-instruct@nf4", "context": 8192}),
    Call("/models", {}),
    Call("/adapters", {"model": SMOLLM2}),
    Call("/score", {"text": "The cat sat on the mat.", "variant": GGUF}),
)
ENDS = ("stop", "length")


def of_docs(call: Call, url: str = PAGE) -> list[Recipe]:
    return examples(call, Place(url, openai=True))


@pytest.fixture(scope="session")
def node_modules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder where Node finds Gradio's client."""
    if not (npm := shutil.which("npm")):
        pytest.skip("there is no Node here")
    folder = tmp_path_factory.mktemp("node")
    done = subprocess.run(
        [npm, "install", "--no-audit", "--no-fund", CLIENT], cwd=folder, capture_output=True, timeout=120
    )
    if done.returncode:
        pytest.skip(f"{CLIENT} cannot be installed here")
    return folder


def run_python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def run_bash(code: str) -> str:
    done = subprocess.run(["bash", "-euo", "pipefail", "-c", code], capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def between(said: str) -> str:
    """The answer between the client's own line and that of the usage."""
    return "\n".join(said.splitlines()[1:-1]).strip()


def run_node(code: str, folder: Path) -> str:
    (folder / "example.mjs").write_text(code + "\nprocess.exit();\n", encoding="utf-8")
    done = subprocess.run(
        ["node", "example.mjs"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=240,
        env=os.environ | {"NO_COLOR": "1"},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_docs_have_an_example_of_each_endpoint() -> None:
    text = (ROOT / "docs/code.md").read_text(encoding="utf-8")
    shown = [block.partition("\n")[2].strip() for block in text.split("```")[1::2]]
    assert shown == [recipe.text for call in CALLS for recipe in of_docs(call)]
    assert [line[4:-1] for line in text.splitlines() if line.startswith("## `")] == [call.endpoint for call in CALLS]


def test_python_and_curl_of_the_docs_run(app: ServedApp) -> None:
    recipes = [recipe for call in CALLS for recipe in of_docs(call, app.url)]
    parts = [recipe.text for recipe in recipes if recipe.language == "python"]
    said = run_python("\nprint('---')\n".join(parts)).split("---\n")
    chat, by_openai, completed, completed_by_openai, compared, plan, models, adapters, score = said
    assert chat.splitlines()[-1].endswith(ENDS)
    assert by_openai.strip() == between(chat)
    assert completed_by_openai.strip() == between(completed)
    assert compared.count(SMOLLM2) == 2
    for text, key in ((plan, "'needed'"), (models, f"'{SMOLLM2}'"), (adapters, "'listed'"), (score, "'perplexity'")):
        assert key in text
    streams = run_bash("\necho ---\n".join(r.text for r in recipes if r.language == "bash")).split("---\n")
    last = [stream.strip().rpartition("event: complete\ndata: ")[2] for stream in streams]
    results = [json.loads(data) for data in last]
    assert results[0][0].strip() == by_openai.strip()
    assert [row["variant"] for row in results[2][0]] == CALLS[2].arguments["variants"]
    assert results[6][0]["perplexity"] > 1


def test_javascript_of_the_docs_runs(app: ServedApp, node_modules: Path) -> None:
    parts = [recipe.text for call in CALLS for recipe in of_docs(call, app.url) if recipe.language == "javascript"]
    head, *_ = parts[0].splitlines()
    bodies = [part.removeprefix(head) for part in parts]  # one import, and a block for the names of each
    said = run_node(head + "".join(f"\n{{{body}\n}}\nconsole.log('---');" for body in bodies), node_modules).split(
        "---\n"
    )
    assert any(end in said[0] for end in ENDS)
    assert said[2].count(SMOLLM2) >= 2
    for text, key in zip(said[3:7], ("needed", SMOLLM2, "listed", "perplexity"), strict=True):
        assert key in text


def snippet(panel: Locator, name: str) -> str:
    return panel.locator("section", has=panel.page.get_by_role("heading", name=name)).locator("code").inner_text()


def test_the_panel_writes_what_is_picked_and_it_runs(
    visit_echo: Visit, echo_app: ServedApp, node_modules: Path
) -> None:
    query = f"variant={quote(SMOLLM2 + '@nf4+json:0.5')}&temperature=0&prompt={quote(HOSTILE)}"
    visitor = visit_echo(query, permissions=["clipboard-read", "clipboard-write"])
    page = visitor.page
    page.locator("#make-link").click()
    page.locator("#share-line [data-snippets=code]").click()
    panel = page.locator("#snippets")
    expect(panel.get_by_role("heading", name="Use from code")).to_be_visible()
    panel.get_by_role("button", name="Copy").first.click()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert f'variant="{SMOLLM2}@nf4+json:0.5"' in copied
    assert "temperature=0" in copied
    assert run_python(copied).splitlines()[1:] == [HOSTILE, f"{SMOLLM2}@nf4 stop"]  # after the client's own line
    assert run_python(snippet(panel, "OpenAI")).strip() == HOSTILE
    assert HOSTILE in json.loads(run_bash(snippet(panel, "curl")).strip().splitlines()[-1].removeprefix("data: "))
    assert run_node(snippet(panel, "JavaScript"), node_modules).startswith(HOSTILE)
    panel.get_by_role("button", name="Close").click()

    page.get_by_role("tab", name="Compare").click()
    page.locator("#share-line [data-snippets=code]").click()
    expect(panel).to_contain_text("none was named")


@pytest.mark.slow
def test_elsewhere_are_the_programs_that_run_the_picked_variant(visit_echo: Visit) -> None:
    visitor = visit_echo(f"variant={GGUF}&temperature=0&lang=zh-CN")
    panel = visitor.page.locator("#snippets")
    visitor.box.fill(HOSTILE)
    visitor.page.locator("#programs-line [data-snippets=elsewhere]").click()
    expect(panel.locator("h3")).to_have_text(["llama.cpp", "Ollama"])
    expect(panel.locator("#snippets-title")).to_have_text("在别处运行")
    expect(panel.locator("code").first).to_contain_text("llama-server --hf-repo")
    expect(panel.locator("code").last).to_contain_text("FROM hf.co/")
