"""The files of this copy of the app that a Space needs: what runs, and what tells the Hub how to run it."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FILES = ("README.md", "LICENSE", "app.py", "requirements.txt")
FOLDERS = ("models", "ui")
KINDS = frozenset(
    (".py", ".toml", ".txt", ".css", ".js", ".json", ".safetensors", ".svg")
)  # nothing that lies there by chance
WITHOUT = "models/finetuned/data/"  # what the bundled adapters were trained on


def files(root: Path = ROOT) -> dict[str, int]:
    """Bytes of each file to upload, by its path in the Space; raises FileNotFoundError for a copy that lacks one."""
    found = [root / name for name in FILES]
    for folder in FOLDERS:
        found += sorted(path for path in (root / folder).rglob("*") if path.suffix in KINDS and path.is_file())
    sizes = {path.relative_to(root).as_posix(): path.stat().st_size for path in found}
    return {name: size for name, size in sizes.items() if not name.startswith(WITHOUT)}


def is_ours(name: str) -> bool:
    """Whether a file of a Space is one that an upload brings, and takes away once it is not among them any more."""
    return name in FILES or name.startswith(tuple(f"{folder}/" for folder in FOLDERS))


def looks_like_ours(names: set[str]) -> bool:
    """Whether a Space with these files is this app, or still empty, as after an upload that was cut off."""
    return "models/domain/catalog.toml" in names or names <= {".gitattributes", ".gitignore", "README.md"}
