"""What the operator decides, read once from PADDOCK_* variables; docs/settings.md has the table."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from configparser import RawConfigParser
from dataclasses import dataclass, fields
from pathlib import Path


@dataclass(frozen=True)
class Settings:
    """Limits and places; every limit here is enforced by the server, whatever the page does."""

    default_variant: str = "smollm2-135m-instruct"
    cache_dir: str = ""  # conversions and files of the package index; empty: ~/.cache/paddock
    models_dir: str = ""  # a folder of KEY/ or OWNER/NAME/ snapshots that are used before anything is downloaded
    adapters_dir: str = ""  # a folder of NAME/ LoRA adapters that visitors can pick by name
    uploads: bool = True  # may visitors bring adapters of their own?
    adapter_mb: float = 256.0  # the largest adapter file
    attached_mb: float = 1024.0  # what the adapters that stay attached to one model may take in memory
    attached: int = 8  # adapters that stay attached to one model
    hub_ids: bool = True  # may visitors name Hub models that are not in the catalog?
    gated_models: tuple[str, ...] = ()  # Hub ids of gated models that the operator's HF_TOKEN may fetch for visitors
    sign_in: bool = False  # show “Sign in with Hugging Face”, so that visitors fetch gated models with their own token
    hub_timeout_s: float = 3.0  # how long to wait for the Hub before saying that it is unreachable
    context: int = 4096  # tokens; a model with a shorter context has its own
    max_characters: int = 60_000
    max_new_tokens: int = 2048
    compared: int = 6  # variants of one comparison
    max_turns: int = 100  # messages of one conversation
    time_limit_s: float = 300.0  # of computing one answer
    slots: int = 4  # answers that llama.cpp computes at once
    queue: int = 32  # waiting visitors before the next is told to come back
    threads: int = 0  # 0: as many as there are cores for this process
    memory_fraction: float = 0.8  # of the free memory that loaded models may take together
    load_anyway: bool = False  # load what the plan says does not fit
    gpu_memory_gb: float = 48.0  # of the GPU that ZeroGPU will give, which cannot be asked before it is there
    preload: bool = True  # load the default variant right after the page is up

    @property
    def cache(self) -> Path:
        home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        return Path(self.cache_dir or Path(home, "paddock"))

    @property
    def compute_threads(self) -> int:
        if self.threads:
            return self.threads
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

    @classmethod
    def from_env(cls, env: Mapping[str, str] = os.environ) -> Settings:
        """Settings from PADDOCK_<FIELD> variables; a value that cannot be read is a ValueError that names it.

        On a public Space (SPACE_ID is set) `hub_ids` and `preload` are off unless they are asked for; `sign_in` is on
        where the Space has OAuth (OAUTH_CLIENT_ID is set).
        """
        values: dict[str, object] = {"hub_ids": False, "preload": False} if env.get("SPACE_ID") else {}
        values["sign_in"] = bool(env.get("OAUTH_CLIENT_ID"))
        for f in fields(cls):
            text = env.get(f"PADDOCK_{f.name.upper()}")
            if text is None or text == "":
                continue
            try:
                values[f.name] = _READERS[str(f.type)](text)
            except (ValueError, KeyError):
                raise ValueError(f"PADDOCK_{f.name.upper()}={text!r} is not {_WANTED[str(f.type)]}") from None
        settings = cls(**values)  # type: ignore[arg-type]
        for name in _AT_LEAST_ONE:
            if getattr(settings, name) < 1:
                raise ValueError(f"PADDOCK_{name.upper()}={getattr(settings, name)} is not a whole number above 0")
        if settings.memory_fraction > 1:
            raise ValueError(f"PADDOCK_MEMORY_FRACTION={settings.memory_fraction:g} is more than 1")
        return settings


_AT_LEAST_ONE = ("context", "max_characters", "max_new_tokens", "max_turns", "slots", "queue")


def _read_int(text: str) -> int:
    if int(text) < 0:
        raise ValueError(text)
    return int(text)


def _read_float(text: str) -> float:
    if not float(text) > 0:  # NaN is not
        raise ValueError(text)
    return float(text)


_READERS: dict[str, Callable[[str], object]] = {
    "str": str,
    "int": _read_int,
    "float": _read_float,
    "bool": lambda text: RawConfigParser.BOOLEAN_STATES[text.lower()],
    "tuple[str, ...]": lambda text: tuple(part.strip() for part in text.split(",") if part.strip()),
}
_WANTED = {"int": "a whole number, 0 or more", "float": "a number above 0", "bool": "1 or 0"}
