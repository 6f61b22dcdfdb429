"""Imports go down only, and what must stay light loads no heavy library."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
HEAVY = {"torch", "transformers", "peft", "bitsandbytes", "xllamacpp", "huggingface_hub"}
# They define torch's modules, so they import it first of all, and are themselves as heavy as it to all others.
NETWORKS = ("models.training.causal", "models.training.feed_forward", "models.training.llama")
# The rooms from the top, a floor a line: each imports from its own room and from those on lower floors.
FLOORS = (
    ("app", "models.__main__"),
    ("models.cli", "ui"),
    ("ui.compare", "ui.chat", "ui.openai", "ui.train", "ui.workshop"),
    ("ui.programs",),
    ("ui.page",),
    ("ui.picker",),
    ("ui.shared",),
    ("models.workshop", "models.training.runs"),
    ("models.training",),
    ("models.training.engine", "models.studies", "models.space", "models.startup"),
    ("models.training.tokenizing",),
    ("models.training.documents", "models.training.token_rows"),
    ("models.training.causal",),
    ("models.training.feed_forward",),
    ("models.training.llama",),
    ("models.packing",),
    ("models.runtime",),
    ("models.lookup",),
    ("models.loading",),
    ("models.planning",),
    ("models.compute",),
    ("models.engines.transformers",),
    ("models.engines.lora", "models.engines.llama"),
    ("models.engines.cpu",),
    ("models.engines",),
    ("models.weights.adapters",),
    ("models.weights.sources",),
    ("models.weights.catalog_check", "models.weights.gguf_listing"),
    ("models.weights.hub_card",),
    ("models.weights.places",),
    ("models.weights.wheel",),
    ("models.weights.kept",),
    ("models.weights.hub",),
    ("models.weights",),
    ("models.weights.verify",),
    ("models.system",),
    ("models.domain.results", "models.domain.memory"),
    ("models.domain",),
)
FLOOR = {room: len(FLOORS) - place for place, rooms in enumerate(FLOORS) for room in rooms}
# The page knows what can be asked and what comes back, nothing of how it is computed; the Runtime is an argument.
PAGE = ("ui", "models.domain", "models.system", "models.studies", "models.workshop.asked", "models.weights.kept")
PAGE += ("models.training.runs",)
TYPES_ONLY = (*PAGE, "models.runtime")
NEVER_HEAVY = ("app", "ui", "models.domain")  # not even inside a function
ZERO_GPU = tuple(f"models.compute.{name}" for name in ("gpu", "quota", "scheduler"))
ONLY_IN = {"gradio": ("app", "ui"), "spaces": ("app", *ZERO_GPU)}


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


FILES = {
    module_name(path): path
    for path in [ROOT / "app.py", *sorted(ROOT.glob("models/**/*.py")), *sorted(ROOT.glob("ui/**/*.py"))]
    if path.exists()
}


def within(module: str, packages) -> bool:
    return any(module == package or module.startswith(package + ".") for package in packages)


def room(module: str) -> str:
    return next((name for name in sorted(FLOOR, key=len, reverse=True) if within(module, [name])), module)


def imports(tree: ast.AST, module: str, is_package: bool, known):
    """(imported module, line, whether it runs at import, whether it is for type checkers only)."""

    def walk(node, at_import, types_only):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                yield from ((alias.name, child.lineno, at_import, types_only) for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                base = child.module or ""
                if child.level:
                    above = module.split(".")[: len(module.split(".")) - child.level + is_package]
                    base = ".".join([*above, *([base] if base else [])])
                for alias in child.names:
                    full = f"{base}.{alias.name}"
                    yield (full if full in known else base, child.lineno, at_import, types_only)
            elif isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
                yield from walk(child, False, types_only)
            elif isinstance(child, ast.If) and ast.unparse(child.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
                for part in child.body:
                    yield from walk(ast.Module([part], []), False, True)
                for part in child.orelse:
                    yield from walk(ast.Module([part], []), at_import, types_only)
            else:
                yield from walk(child, at_import, types_only)

    yield from walk(tree, True, False)


def faults(module: str, source: str, is_package: bool = False, known=frozenset(FILES)) -> list[str]:
    found = []
    own = room(module)
    for target, line, at_import, types_only in imports(ast.parse(source), module, is_package, known):
        top = target.split(".")[0]
        if within(target, ("app", "ui", "models")):
            other = room(target)
            if other != own and FLOOR.get(other, 99) >= FLOOR[own]:
                found.append(f"{module}:{line} imports {target}, which stands beside or above it")
            if within(module, ["ui"]) and not within(target, TYPES_ONLY if types_only else PAGE):
                found.append(f"{module}:{line} imports {target}, which the page may not")
        heavy = (top in HEAVY or within(target, NETWORKS)) and not within(module, NETWORKS)
        if heavy and not types_only and (at_import or within(module, NEVER_HEAVY)):
            found.append(f"{module}:{line} imports {target} {'at import' if at_import else 'at all'}")
        if top in ONLY_IN and not within(module, ONLY_IN[top]):
            found.append(f"{module}:{line} imports {top}, which is for {' and '.join(ONLY_IN[top])}")
        if top == "tests":
            found.append(f"{module}:{line} imports tests")
    return found


@pytest.mark.parametrize("module", FILES)
def test_imports_go_down_only(module):
    path = FILES[module]
    assert faults(module, path.read_text(encoding="utf-8"), path.name == "__init__.py") == []


@pytest.mark.parametrize(
    ("module", "source", "count"),
    [
        ("app", "from ui.layout import build_app\nfrom models.runtime import Runtime", 0),
        ("app", "def f():\n import torch", 1),
        ("ui.chat_tab", "from .stream import shown\nfrom models.domain.errors import PaddockError\nimport gradio", 0),
        ("ui.chat_tab", "from models.runtime import Runtime", 1),
        ("ui.chat_tab", "from models import runtime", 1),
        ("ui.chat_tab", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n from models.runtime import Runtime", 0),
        ("ui.chat_tab", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n from models.engines import loader", 1),
        ("ui.shared.stream", "from ..picker import card", 1),
        ("ui.chat_tab", "import spaces\nimport transformers", 2),
        (
            "models.runtime",
            "from .engines import loader\nfrom .weights.sources import find\nfrom .compute import pool",
            0,
        ),
        ("models.runtime", "import ui", 1),
        ("models.compute.pool", "import gradio as gr\nimport spaces", 2),
        ("models.compute.gpu", "import spaces", 0),
        ("models.engines.transformers.loader", "def f():\n import torch\n from transformers import AutoModel", 0),
        ("models.engines.transformers.loader", "import torch.nn as nn", 1),
        ("models.engines.transformers.loader", "try:\n import torch\nexcept ImportError:\n pass", 1),
        ("models.engines.transformers.loader", "class A:\n import torch", 1),
        (
            "models.engines.transformers.loader",
            "import typing\nif typing.TYPE_CHECKING:\n import torch\nelse:\n import peft",
            1,
        ),
        ("models.training.engine.pretrainer", "from ..causal import generate", 1),
        ("models.training.engine.pretrainer", "def f():\n from ..causal import generate", 0),
        ("models.training.llama", "import torch", 0),
        ("models.engines.transformers.loader", "from ...weights import sources", 0),
        ("models.engines.transformers.loader", "from ...compute import pool", 1),
        ("models.engines.transformers.loader", "from ...runtime import Runtime", 1),
        ("models.engines.transformers.loader", "from ... import runtime", 1),
        ("models.weights.sources", "from ..domain.load import Snapshot\nfrom . import hub", 0),
        ("models.weights.sources", "def f():\n from models.engines import loader", 1),
        ("models.domain.memory.plan", "from ..catalog import Shape", 0),
        ("models.domain.catalog", "from .memory import plan", 1),
        ("models.domain.memory.plan", "from ...engines.device import Device", 1),
        ("models.domain.memory.plan", "def f():\n import huggingface_hub", 1),
    ],
)
def test_the_walk_finds_what_it_should(module, source, count):
    known = {"models.runtime", "models.compute.pool", "models.weights.sources", "models.domain.memory.plan"}
    assert len(faults(module, source, known=known)) == count


PACKAGE_OF = {"pydantic_core": "pydantic", "pynvml": "nvidia-ml-py", "markdown_it": "markdown-it-py"}


def test_every_library_that_is_imported_is_declared():
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    declared = {re.split(r"[\[<>=~]", line)[0].lower() for line in lines}
    used = (
        {
            target.split(".")[0]
            for module, path in FILES.items()
            for target, *_ in imports(
                ast.parse(path.read_text(encoding="utf-8")), module, path.name == "__init__.py", FILES
            )
        }
        - set(sys.stdlib_module_names)
        - {"app", "models", "ui"}
    )
    assert {PACKAGE_OF.get(name, name) for name in used} - {"_typeshed"} <= declared


@pytest.mark.parametrize("package", ["models.domain", "ui"])
def test_light_packages_load_nothing_heavy(package):
    modules = [module for module in FILES if within(module, [package])]
    heavy = HEAVY - ({"huggingface_hub"} if package == "ui" else set())  # Gradio itself loads the Hub's client
    code = (
        f"import importlib, sys\nfor module in {modules}: importlib.import_module(module)\n"
        f"print(sorted({heavy} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"
