"""Which files Meta's download of each model has, and where they lie behind a signed link.

Sources: download.sh of facebookresearch/llama (Llama 2) and of meta-llama/llama3 (Llama 3); from 3.1 on
`llama_meta_net_info` and `pth_file_count` in sku_list.py of meta-llama/llama-models; hosts as in Meta's mails.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..domain.errors import UnknownMetaModel

CHECKLIST, PARAMS, TOKENIZER = "checklist.chk", "params.json", "tokenizer.model"
TOKENIZER_CHECKLIST = "tokenizer_checklist.chk"
MOST_SHARDS = 99


@dataclass(frozen=True)
class MetaModel:
    """A model at Meta: its host, its folder there, and how many shards it has.

    `outside` are files that lie beside the folders of all models, of which the first is nobody's secret: a link that
    is good for any of them is good for it.
    """

    key: str
    host: str
    folder: str
    shards: int
    outside: tuple[str, ...] = ()

    @property
    def small(self) -> list[tuple[str, str]]:
        """The small files: their names here, and their paths there; lists of checksums come first."""
        lists = [name for name in self.outside if name.endswith(".chk")]
        rest = [name for name in self.outside if name not in lists]
        inside = [CHECKLIST, PARAMS, *([] if TOKENIZER in self.outside else [TOKENIZER])]
        found = [(CHECKLIST, f"{self.folder}/{CHECKLIST}"), *((name, name) for name in (*lists, *rest))]
        return found + [(name, f"{self.folder}/{name}") for name in inside[1:]]

    @property
    def large(self) -> list[tuple[str, str]]:
        """The weights, likewise."""
        names = [f"consolidated.{number:02}.pth" for number in range(self.shards)]
        return [(name, f"{self.folder}/{name}") for name in names]


def meta_model(key: str) -> MetaModel:
    """The model of a key; raises UnknownMetaModel."""
    if key not in META_MODELS:
        raise UnknownMetaModel(model=key, known=", ".join(META_MODELS))
    return META_MODELS[key]


def _llama_2(size: str, shards: int) -> list[MetaModel]:
    outside = ("LICENSE", "USE_POLICY.md", TOKENIZER, TOKENIZER_CHECKLIST)
    keys = (f"llama-2-{size}", f"llama-2-{size}-chat")
    return [MetaModel(key, "download.llamameta.net", key, shards, outside) for key in keys]


def _llama_3(size: str, shards: int) -> list[MetaModel]:
    kinds = {f"llama-3-{size}": "pre_trained", f"llama-3-{size}-instruct": "instruction_tuned"}
    outside = ("LICENSE", "USE_POLICY")
    return [MetaModel(key, "download6.llamameta.net", f"{size}_{kind}", shards, outside) for key, kind in kinds.items()]


def _later(version: str, size: str, shards: int, host: str, folder: str = "") -> list[MetaModel]:
    """From 3.1 on, folders are called like the repositories of the Hub."""
    names = [f"Llama-{version}-{size}", f"Llama-{version}-{size}-Instruct"]
    return [MetaModel(name.lower(), f"{host}.llamameta.net", name + folder, shards) for name in names]


_ALL = [
    *(model for size, shards in (("7b", 1), ("13b", 2), ("70b", 8)) for model in _llama_2(size, shards)),
    *(model for size, shards in (("8b", 1), ("70b", 8)) for model in _llama_3(size, shards)),
    *(model for size, shards in (("8B", 1), ("70B", 8)) for model in _later("3.1", size, shards, "llama3-1")),
    *_later("3.1", "405B", 8, "llama3-1", "-MP8"),
    *(model for size in ("1B", "3B") for model in _later("3.2", size, 1, "llama3-2-lightweight")),
    _later("3.3", "70B", 8, "llama3-3")[1],
]
META_MODELS = {model.key: model for model in _ALL}
