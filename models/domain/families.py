"""The families of a catalog as a table for the documentation."""

from __future__ import annotations

from collections.abc import Iterable

from .catalog import ModelCard
from .units import parameter_count


def families_table(cards: Iterable[ModelCard]) -> str:
    """Markdown, a row a family: its sizes, which of them are base models, licence, context, and what runs offline."""
    families: dict[str, list[ModelCard]] = {}
    for card in cards:
        families.setdefault(card.family, []).append(card)
    lines = ["| family | chat | base | licence | context | without the Hub |", "|---|---|---|---|---:|---|"]
    for family, members in families.items():
        chat, base = (
            ", ".join(dict.fromkeys(_size(card) for card in members if card.is_base == kind)) for kind in (False, True)
        )
        licence = " or ".join(dict.fromkeys(card.licence + (", gated" if card.gated else "") for card in members))
        offline = ", ".join(f"`{card.key}`" for card in members if card.wheel)
        context = f"{max(card.context for card in members):,}"
        lines.append(f"| {family} | {chat} | {base} | {licence} | {context} | {offline} |")
    return "\n".join(lines)


def _size(card: ModelCard) -> str:
    whole, active = parameter_count(card.parameters), parameter_count(card.active_parameters)
    return whole if whole == active else f"{whole} ({active} active)"
