"""The text that modes are scored on when nobody brings another: written for this app, so that no model has seen it."""

from __future__ import annotations

from pathlib import Path

REFERENCE_TEXT = Path(__file__).with_name("reference_text.txt").read_text(encoding="utf-8").strip()
