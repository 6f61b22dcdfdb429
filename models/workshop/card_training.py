"""What a model card says of a training, by its training.json: of a finetuning, or of a pretraining from nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..domain.pretraining import BPE, SIZES

_OF_ADAPTERS = ("rank", "alpha")
_SETTINGS = ("method", "epochs", "learning_rate", "batch", "accumulate", "max_tokens", "quantization", "seed")


def is_pretraining(report: Mapping[str, Any]) -> bool:
    """Whether a training.json is of `pretrain`, which has no base."""
    return "base" not in report and bool(_table(report, "counts")) and "parameters" in report


def lines(report: Mapping[str, Any], base: str) -> Iterator[str]:
    """Lines of what a training.json says, as far as it says it; `base` is what the card names."""
    if base and report.get("base") == base and report.get("base_revision"):
        yield f"- Base: {base} at commit {report['base_revision']}"
    yield from pretrained(report) if is_pretraining(report) else finetuned(report)
    if isinstance(seconds := report.get("seconds"), float):
        machine = _table(report, "machine")
        what = "The last part of the training, which was interrupted," if report.get("resumed") else "Training"
        yield f"- {what} took {seconds:,.0f} s on {machine.get('accelerator', 'an unknown machine')}"
    if versions := _table(report, "versions"):
        yield f"- Versions: {', '.join(f'{name} {value}' for name, value in versions.items())}"


def finetuned(report: Mapping[str, Any]) -> Iterator[str]:
    """Data, settings and losses of an adapter, or of a model whose own weights were trained."""
    settings, rows = _table(report, "settings"), _table(report, "rows")
    is_full = settings.get("method") == "full"
    if data := report.get("data"):
        yield f"- Data: {data}, {rows.get('train', '?')} rows to train on, {rows.get('held_out', '?')} held out"
    wanted = _SETTINGS if is_full else (*_OF_ADAPTERS, *_SETTINGS)
    if named := [f"{name.replace('_', ' ')} {settings[name]}" for name in wanted if name in settings]:
        yield f"- Settings: {', '.join(named)}"
    if (targets := settings.get("targets")) and not is_full:
        yield f"- Layers: {', '.join(map(str, targets))}"
    yield from _losses(report, "rows")


def pretrained(report: Mapping[str, Any]) -> Iterator[str]:
    """Size, data, tokenizer, settings and losses of a model that had no base."""
    settings, counts = _table(report, "settings"), _table(report, "counts")
    chosen = SIZES.get(str(report.get("size")))
    yield f"- Trained from nothing with Paddock: {report.get('size')}, {_number(report.get('parameters'))} parameters"
    learned, held_out = _number(counts.get("documents")), _number(counts.get("held_out"))
    yield f"- Data: {report.get('data')}, {learned} documents to train on, {held_out} held out"
    tokenizer, vocabulary = settings.get("tokenizer", BPE), _number(counts.get("vocabulary"))
    own = "learned from these documents" if tokenizer == BPE else f"that of {tokenizer}"
    yield f"- Tokenizer: {own}, {vocabulary} tokens"
    seen, of = report.get("tokens"), counts.get("tokens")
    epochs = f", {seen / of:.2f} epochs" if isinstance(seen, int) and isinstance(of, int) and of else ""
    yield f"- Learned from: {_number(seen)} tokens in {_number(report.get('steps'))} steps{epochs}"
    named = {"precision": report.get("precision")}
    if chosen:  # 0 is that of the size
        named["learning rate"] = settings.get("learning_rate") or chosen.learning_rate
        named["batch"] = settings.get("batch") or chosen.batch
    named |= {"max tokens": settings.get("max_tokens"), "seed": settings.get("seed")}
    yield f"- Settings: {', '.join(f'{name} {value}' for name, value in named.items() if value is not None)}"
    yield from _losses(report, "documents")


def needed_below(report: Mapping[str, Any]) -> tuple[str, ...]:
    """The adapters that acted on the base while one was trained, each with its weight, in words."""
    on = report.get("on")
    if not isinstance(on, list) or not on:
        return ()
    spelled = (str(one).partition(":") for one in on)
    return tuple(f"{name} at weight {weight or 1}" for name, _, weight in spelled)


def _losses(report: Mapping[str, Any], what: str) -> Iterator[str]:
    if isinstance(before := report.get("before"), float) and isinstance(after := report.get("after"), float):
        yield f"- Loss on the held-out {what}: {before:.3f} nats a token before, {after:.3f} after"


def _number(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else "?"


def _table(report: Mapping[str, Any], name: str) -> dict[str, Any]:
    found = report.get(name)
    return found if isinstance(found, dict) else {}
