"""What an entry of the catalog says otherwise than the Hub does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from ..domain.catalog import ModelCard, part_names
from ..domain.errors import NothingCompared, NotOnHub
from ..domain.settings import Settings
from ..domain.shapes.shape import Shape
from . import fetch_errors
from .hub import access
from .hub import client as hub
from .hub_card import asked
from .sharing import Visit

# The Hub's names of licences that an entry spells in one way only; those with terms of their own have many.
LICENCES = {"apache-2.0": "Apache-2.0", "mit": "MIT"}


class Difference(NamedTuple):
    """A field of an entry, as it stands there and on the Hub."""

    field: str
    ours: str
    theirs: str


def differences(card: ModelCard, settings: Settings, token: str | None = None) -> list[Difference]:
    """All of an entry's repositories against it; raises what reading its own one raises, NothingCompared first."""
    if not access.hub_reachable(settings):
        raise NothingCompared
    return [one for one in (*_model(card, settings, token), *_files(card, settings, token)) if one.ours != one.theirs]


def _model(card: ModelCard, settings: Settings, token: str | None) -> Iterator[Difference]:
    with fetch_errors.translated(card.hub_id, settings.cache):
        there = asked(card.hub_id, card.revision, Visit(card.hub_id, settings, token), card.revision)
    if there.sizes != card.sizes:
        ours, theirs = _sizes(card.sizes), _sizes(there.sizes)
        yield Difference("shape", ours, theirs if ours != theirs else "other tensors of the same sizes")
    if card.context > there.context:  # a card may state less than its config.json allows
        yield Difference("context", f"{card.context:,}", f"at most {there.context:,}")
    if card.kind == "instruct":  # base models may have a chat template too
        yield Difference("kind", card.kind, there.kind)
    yield Difference("gated", str(card.gated).lower(), str(there.gated).lower())
    theirs = LICENCES.get(there.licence, there.licence)
    if card.licence in LICENCES.values() or there.licence in LICENCES:
        yield Difference("licence", card.licence, theirs)


def _sizes(shape: Shape) -> str:
    tied = "tied" if shape.tied_embeddings else "untied"
    layers = " and ".join(f"{count} layers of {kind}" for kind, count in shape.kinds.items())
    sizes = f"{shape.parameters:,} parameters, {shape.hidden:,} wide, {shape.heads} heads"
    return f"{sizes}, {layers}, {shape.vocabulary:,} entries, {tied}"


def _files(card: ModelCard, settings: Settings, token: str | None) -> Iterator[Difference]:
    for form in card.quantized:
        yield from _listed(form.repo, form.revision, settings, token, form.method)[1]
    if not (gguf := card.gguf):
        return
    sizes, lacking = _listed(gguf.repo, gguf.revision, settings, token, "gguf")
    yield from lacking
    for file in [] if lacking else [gguf.file, *(gguf.other(label).file for label in gguf.more)]:
        for name in part_names(file):
            yield Difference("gguf file", name, name if name in sizes else "there is none")
    if gguf.bytes and gguf.file in sizes:
        yield Difference("gguf bytes", f"{gguf.bytes:,}", f"{sizes[gguf.file]:,}")


def _listed(
    repo: str, revision: str | None, settings: Settings, token: str | None, field: str
) -> tuple[dict[str, int], list[Difference]]:
    """Bytes of each file of a repository, or that it is not there."""
    with fetch_errors.translated(repo, settings.cache):
        try:
            return hub.file_sizes(repo, revision, Visit(repo, settings, token)), []
        except NotOnHub:
            return {}, [Difference(field, repo, "there is none")]
