"""Languages by their ISO 639-1 codes, and whether a model speaks one."""

from __future__ import annotations

from collections.abc import Collection

MANY = "mul"  # of ISO 639-2: more languages than a model's card names
NAMES = {
    "ar": "Arabic",
    "cs": "Czech",
    "da": "Danish",
    "de": "German",
    "en": "English",
    "es": "Spanish",
    "fi": "Finnish",
    "fr": "French",
    "he": "Hebrew",
    "hi": "Hindi",
    "hu": "Hungarian",
    "id": "Indonesian",
    "it": "Italian",
    "ja": "Japanese",
    "ko": "Korean",
    "nl": "Dutch",
    "no": "Norwegian",
    "pl": "Polish",
    "pt": "Portuguese",
    "ru": "Russian",
    "sv": "Swedish",
    "th": "Thai",
    "tl": "Tagalog",
    "tr": "Turkish",
    "uk": "Ukrainian",
    "vi": "Vietnamese",
    "zh": "Chinese",
}


def speaks(languages: Collection[str], wanted: str) -> bool:
    """Whether a model of these languages speaks another; one that states none is given the benefit of the doubt."""
    return not languages or wanted in languages or MANY in languages
