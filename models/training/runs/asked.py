"""What is asked of a training, read from a form or a program, as data that its folder keeps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ...domain.adapters import is_upload, load_adapters
from ...domain.data_sets import data_sets
from ...domain.errors import AdapterNameTaken, BadSpelling, NothingNamed, TrainingSettingOutOfBounds
from ...domain.settings import Settings
from ...domain.training import RANGES, SETTING_NAMES, TrainingSettings
from ...domain.training_data import NAMES
from ...domain.variant import AdapterChoice, Variant

ADAPTER = "lora"  # the method; a model would not lie among the adapters
CHECKPOINTS = "checkpoints"  # in the folder of an adapter that is being trained
NONE: Mapping[str, Any] = MappingProxyType({})
FINISH = "finish"  # a file in there: end after this step, with what there is


@dataclass(frozen=True)
class Asked:
    """A training: the adapter's name, the variant that it is for, a file or data set, and how it is made.

    `columns` of the data are renamed before it is read.
    """

    name: str
    base: str
    data: str
    settings: TrainingSettings = field(default_factory=TrainingSettings)
    columns: Mapping[str, str] = field(default_factory=dict)

    @property
    def variant(self) -> Variant:
        """The base with the adapter, as it is picked once it is there."""
        base = Variant.parse(self.base)
        return Variant(base.model, base.quantization, (*base.adapters, AdapterChoice(self.name)))

    def to_dict(self) -> dict[str, Any]:
        """Plain data, of which `read_asked` makes the same."""
        return asdict(self)

    def command(self, out: Path) -> list[str]:
        """The arguments of `python` that train it into the folder `out`, or go on with that."""
        values = {name: _spelled(getattr(self.settings, name)) for name in SETTING_NAMES}
        options = [f"--{name.replace('_', '-')}={value}" for name, value in values.items()]
        options += [f"--column={name}={known}" for name, known in self.columns.items()]
        return ["-m", "models", "finetune", self.base, "--data", self.data, "--out", str(out), *options, "--json"]


def read_asked(data: Mapping[str, Any]) -> Asked:
    """The same from plain data; raises TypeError, or what its settings do."""
    given: dict[str, Any] = dict(data.get("settings") or {})
    known = {f.name for f in fields(TrainingSettings)}
    settings: dict[str, Any] = {name: value for name, value in given.items() if name in known}
    if "targets" in settings:
        settings["targets"] = tuple(settings["targets"])
    columns = {str(name): str(known) for name, known in dict(data.get("columns") or {}).items()}
    return Asked(str(data["name"]), str(data["base"]), str(data["data"]), TrainingSettings(**settings), columns)


def ask(name: Any, base: Variant, data: Any, shown: Mapping[str, Any], columns: Mapping[str, Any] = NONE) -> Asked:
    """A training as a visitor or a program names it: a file of this machine or a data set, settings as they are shown.

    Raises NothingNamed, TrainingSettingOutOfBounds.
    """
    rows = str(data or "").strip()
    if not rows:
        raise NothingNamed(what="the rows to learn from")
    if rows not in data_sets():
        rows = str(Path(rows).expanduser().absolute())
    return Asked(str(name or "").strip(), str(base), rows, read_settings(shown), _known(columns))


def read_settings(shown: Mapping[str, Any]) -> TrainingSettings:
    """Settings from what a form shows: text or numbers by name, the targets with commas; an empty one is as usual.

    Raises TrainingSettingOutOfBounds.
    """
    for name in shown:
        if name not in SETTING_NAMES:
            raise TrainingSettingOutOfBounds(
                name="setting", value=name[:60], wanted=f"one of {', '.join(SETTING_NAMES)}"
            )
    if shown.get("method", ADAPTER) != ADAPTER:
        wanted = f"{ADAPTER}; all weights of a model are trained by the command line"
        raise TrainingSettingOutOfBounds(name="method", value=str(shown["method"])[:60], wanted=wanted)
    values: dict[str, Any] = {name: value for name, value in shown.items() if value not in (None, "")}
    for name, bounds in RANGES.items():
        if isinstance(value := values.get(name), float) and bounds.whole and value.is_integer():
            values[name] = int(value)
    if "targets" in values:
        given = values["targets"]
        names = given if isinstance(given, list | tuple) else str(given).split(",")
        values["targets"] = tuple(part.strip() for part in map(str, names) if part.strip())
    return TrainingSettings(**values)


def read_columns(text: str) -> dict[str, str]:
    """How fields of the data are called here, from NAME=FIELD with commas; raises TrainingSettingOutOfBounds."""
    pairs = [part.rpartition("=") for part in text.split(",") if part.strip()]
    return _known({name.strip(): known.strip() for name, _, known in pairs})


def _known(columns: Mapping[str, Any]) -> dict[str, str]:
    for name, known in columns.items():
        if not name or known not in NAMES:
            wanted = f"NAME=FIELD with one of {', '.join(NAMES)}"
            value = f"{name}={known}" if name else str(known)
            raise TrainingSettingOutOfBounds(name="column", value=value[:60], wanted=wanted)
    return dict(columns)


def check_name(name: str, settings: Settings) -> None:
    """Raise NothingNamed, BadSpelling, AdapterNameTaken unless an adapter could be picked by it, and none is."""
    if not name:
        raise NothingNamed(what="the name of the adapter")
    AdapterChoice(name)
    if "/" in name:
        raise BadSpelling(text=name[:80], reason="the name of an adapter that is trained here has no slash")
    taken = {entry.key for entry in load_adapters()}
    if name in taken or is_upload(name) or _holds_something(settings.adapters_folder / name):
        raise AdapterNameTaken(name=name)


def _holds_something(folder: Path) -> bool:
    """Not so where a training failed before its first checkpoint."""
    inside = [path for path in folder.glob("*") if path.name != CHECKPOINTS]
    return bool(inside) or any((folder / CHECKPOINTS).glob("checkpoint-*"))


def _spelled(value: Any) -> str:
    return ",".join(value) if isinstance(value, tuple) else str(value)
