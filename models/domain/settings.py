"""What the operator decides, read once from PADDOCK_* variables; docs/settings.md has the table."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Callable, Mapping
from configparser import RawConfigParser
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Literal, get_args

from .errors import VariantError
from .locks import SHORTEST_KEY
from .variant import Variant

EVERY = "*"  # of gated_models: all that the operator's token may read
SignIn = Literal["oauth", "token", "off"]


@dataclass(frozen=True)
class Settings:
    """Limits and places; every limit here is enforced by the server, whatever the page does."""

    default_variant: str = "smollm2-135m-instruct"
    cache_dir: str = ""  # conversions and files of the package index; empty: ~/.cache/paddock
    disk_gb: float = 0.0  # that conversions, packages and uploads may take together; 0: as much as there is
    models_dir: str = ""  # a folder of KEY/ or OWNER/NAME/ snapshots that are used before anything is downloaded
    model_folders: tuple[str, ...] = ()  # of one model each, which is picked as local/NAME by its folder's name
    adapters_dir: str = ""  # a folder of NAME/ LoRA adapters that visitors can pick by name; empty: in cache_dir
    uploads: bool = True  # may visitors bring adapters of their own?
    adapter_mb: float = 256.0  # the largest adapter file
    attached_mb: float = 1024.0  # what the adapters that stay attached to one model may take in memory
    attached: int = 8  # adapters that stay attached to one model
    models: tuple[str, ...] = ()  # keys of the catalog that visitors may pick; none: all
    hub_ids: bool = True  # may visitors name Hub models that are not in the catalog?
    gated_models: tuple[str, ...] = ()  # Hub ids of gated models that the operator's HF_TOKEN may fetch for visitors
    sign_in: SignIn = "token"  # how visitors fetch gated models with a token of their own
    hub_timeout_s: float = 3.0  # how long to wait for the Hub before saying that it is unreachable
    context: int = 4096  # tokens; a model with a shorter context has its own
    max_characters: int = 60_000
    max_new_tokens: int = 2048
    compared: int = 6  # variants of one comparison
    away_s: float = 120.0  # how long a comparison goes on after its page was closed; it ends at once if it is 0
    max_turns: int = 100  # messages of one conversation
    time_limit_s: float = 300.0  # of computing one answer
    slots: int = 4  # answers that llama.cpp computes at once
    queue: int = 32  # waiting visitors before the next is told to come back
    openai: bool = True  # serve /v1, the OpenAI-compatible door for programs
    mcp: bool = True  # serve the named endpoints as tools for models (MCP), at /gradio_api/mcp/
    frame_ancestors: str = "*"  # pages that may show this one in a frame, as in Content-Security-Policy
    link_key: str = field(default="", repr=False)  # signs links that fix what is asked; without one there are none
    locked_only: bool = False  # answer nothing but what such a link asks for
    api_keys: tuple[str, ...] = field(
        default=(), repr=False
    )  # that /v1 asks for; none: everybody who reaches the server may use it
    operator_key: str = field(
        default="", repr=False
    )  # opens /operator, the page with counts; without one there is no such page
    requests_at_once: int = 8  # of one key at /v1, or of everybody where there are none
    threads: int = 0  # 0: as many as there are cores for this process
    memory_fraction: float = 0.8  # of the free memory that loaded models may take together
    load_anyway: bool = False  # load what the plan says does not fit
    gpu_seconds: int = 120  # of ZeroGPU that one call asks for at the most
    packed: tuple[str, ...] = ("default",)  # variants that every worker of ZeroGPU has from its beginning, or none
    pack_seconds: int = 1800  # that packing them may take at the start, which a Space ends when it takes too long
    gpu_memory_gb: float = 48.0  # of the GPU that ZeroGPU will give, which cannot be asked before it is there
    workshop: bool = True  # the tabs Train and Workshop, for who is at this machine or gives the operator's key
    processes: int = 1  # that the app runs in, each with a part of every model that can be split
    join_s: float = 5.0  # that one of several processes waits for the others to come
    preload: bool = True  # load the default variant right after the page is up

    def shares(self, repo: str) -> bool:
        """Whether the operator's HF_TOKEN may fetch a closed repository, for everybody who comes."""
        return repo in self.gated_models or EVERY in self.gated_models

    @staticmethod
    def local_name(folder: Path) -> str:
        """What the model of a folder is picked as."""
        return f"local/{re.sub(r'[^A-Za-z0-9._-]+', '-', folder.name).strip('._-') or 'model'}"

    def local_folder(self, model: str) -> Path | None:
        """The folder among `model_folders` that a name means; of several with one name the last."""
        folders = (Path(text).expanduser() for text in reversed(self.model_folders))
        return next((folder for folder in folders if self.local_name(folder) == model), None)

    @cached_property
    def cache(self) -> Path:
        home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        return Path(self.cache_dir or Path(home, "paddock"))

    @property
    def adapters_folder(self) -> Path:
        """Where adapters lie that can be picked by name; those that are trained on the page come here."""
        return Path(self.adapters_dir).expanduser() if self.adapters_dir else self.cache / "adapters"

    @property
    def compute_threads(self) -> int:
        if self.threads:
            return self.threads
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

    @classmethod
    def from_env(cls, env: Mapping[str, str] = os.environ) -> Settings:
        """Settings from PADDOCK_<FIELD> variables; a value that cannot be read is a ValueError that names it.

        On a public Space (SPACE_ID is set) `hub_ids`, `openai` and `workshop` are off unless they are asked for;
        visitors sign in by OAuth where the Space has it (OAUTH_CLIENT_ID is set). ZeroGPU computes for nobody who has
        gone, nor before anybody came.
        """
        values: dict[str, object] = dict.fromkeys(_OFF_ON_SPACES, False) if env.get("SPACE_ID") else {}
        if env.get("SPACES_ZERO_GPU", "").lower() in ("1", "true"):
            values |= {"away_s": 0.0, "preload": False}
        if env.get("OAUTH_CLIENT_ID"):
            values["sign_in"] = "oauth"
        for f in fields(cls):
            text = env.get(f"PADDOCK_{f.name.upper()}")
            if text is None or text == "":
                continue
            try:
                values[f.name] = _READERS[str(f.type)](text)
            except (ValueError, KeyError):
                raise ValueError(f"PADDOCK_{f.name.upper()}={text!r} is not {_WANTED[str(f.type)]}") from None
        settings = cls(**values)  # type: ignore[arg-type]
        settings._require(env)
        return settings

    def _require(self, env: Mapping[str, str]) -> None:
        """Raise a ValueError that names the first variable whose value could be read and cannot be used."""
        for name in _AT_LEAST_ONE:
            if getattr(self, name) < 1:
                raise ValueError(f"PADDOCK_{name.upper()}={getattr(self, name)} is not a whole number above 0")
        for name, most in _AT_MOST.items():
            if getattr(self, name) > most:
                raise ValueError(f"PADDOCK_{name.upper()}={getattr(self, name)} is more than {most}")
        for name, spellings in (("default_variant", (self.default_variant,)), ("packed", self.packed)):
            for spelling in spellings:
                try:
                    Variant.parse(spelling)
                except VariantError as error:
                    raise ValueError(f"PADDOCK_{name.upper()}={spelling!r}: {error}") from None
        for name in self.gated_models:
            if name != EVERY and not _HUB_ID.fullmatch(name):
                raise ValueError(f"PADDOCK_GATED_MODELS={name!r} is no Hub id like owner/name")
        if not _ANCESTORS.fullmatch(self.frame_ancestors):
            raise ValueError(
                f"PADDOCK_FRAME_ANCESTORS={self.frame_ancestors!r} is no list of pages like "
                "'self' https://example.org, with spaces between them"
            )
        if self.sign_in == "oauth" and not env.get("OAUTH_CLIENT_ID"):
            raise ValueError("PADDOCK_SIGN_IN='oauth' needs a Space with `hf_oauth: true`")
        if self.link_key and len(self.link_key) < SHORTEST_KEY:
            raise ValueError(f"PADDOCK_LINK_KEY has fewer than {SHORTEST_KEY} characters, and could be guessed")
        if self.locked_only and not self.link_key:
            raise ValueError("PADDOCK_LOCKED_ONLY needs PADDOCK_LINK_KEY, which signs the links that are answered")


def unknown(env: Mapping[str, str] = os.environ) -> dict[str, str]:
    """PADDOCK_ variables that no setting has, and the nearest that one has, or nothing."""
    known = [f"PADDOCK_{f.name.upper()}" for f in fields(Settings)]
    found = sorted(name for name in env if name.startswith("PADDOCK_") and name not in known)
    return {name: next(iter(difflib.get_close_matches(name, known, n=1)), "") for name in found}


_OFF_ON_SPACES = ("hub_ids", "openai", "workshop")
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)
_ANCESTORS = re.compile(r"[!-+\--:<-~]+(?: +[!-+\--:<-~]+)*")  # what would begin another directive or header is none
_AT_MOST = {"memory_fraction": 1, "gpu_seconds": 86_399}  # `spaces` forgets whole days
_AT_LEAST_ONE = (
    "context",
    "max_characters",
    "max_new_tokens",
    "compared",
    "max_turns",
    "slots",
    "queue",
    "requests_at_once",
    "gpu_seconds",
    "pack_seconds",
    "processes",
)


def _read_int(text: str) -> int:
    if int(text) < 0:
        raise ValueError(text)
    return int(text)


def _read_float(text: str) -> float:
    if not float(text) > 0:  # NaN is not
        raise ValueError(text)
    return float(text)


def _read_sign_in(text: str) -> str:
    if text not in get_args(SignIn):
        raise ValueError(text)
    return text


_READERS: dict[str, Callable[[str], object]] = {
    "str": str,
    "int": _read_int,
    "float": _read_float,
    "SignIn": _read_sign_in,
    "bool": lambda text: RawConfigParser.BOOLEAN_STATES[text.lower()],
    "tuple[str, ...]": lambda text: tuple(part.strip() for part in text.split(",") if part.strip()),
}
_WANTED = {
    "int": "a whole number, 0 or more",
    "float": "a number above 0",
    "bool": "1 or 0",
    "SignIn": "oauth, token or off",
}
