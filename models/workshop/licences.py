"""What licences say of publishing what was made of a model: whether one may, and what has to go along."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..domain.errors import CannotPublish

UNKNOWN = ("", "unknown", "other")


@dataclass(frozen=True)
class Terms:
    """A licence as the Hub spells it; `name` and `link` where the Hub has no name for it.

    `copy`: its text has to lie beside the files. `begins`: what a name has to begin with. `notice` stands in the card.
    """

    id: str
    changes: bool = True  # may changed versions be published?
    copy: bool = False
    begins: str = ""
    notice: str = ""
    name: str = ""
    link: str = ""


_FREE = (
    "apache-2.0",
    "mit",
    "bsd-2-clause",
    "bsd-3-clause",
    "isc",
    "unlicense",
    "cc0-1.0",
    "cc-by-4.0",
    "cc-by-sa-4.0",
)
_RAIL = ("openrail", "openrail++", "creativeml-openrail-m", "bigscience-openrail-m", "bigcode-openrail-m")
_NOT_SOLD = ("cc-by-nc-4.0", "cc-by-nc-sa-4.0", "cc-by-nc-3.0", "cc-by-nc-sa-3.0")
_UNCHANGED = ("cc-by-nd-4.0", "cc-by-nc-nd-4.0", "cc-by-nc-nd-3.0")
_META = (
    "Llama {n} is licensed under the Llama {n} Community License, Copyright © Meta Platforms, Inc. All Rights Reserved."
)


def _llama(number: str) -> Terms:
    # Section 1.b of each: a copy of the agreement, the notice, and from Llama 3 on "Llama" at the beginning of a name.
    notice = _META.format(n=number)
    if number == "2":
        return Terms("llama2", copy=True, notice=notice)
    return Terms(f"llama{number}", copy=True, begins="Llama", notice=f"Built with Llama. {notice}")


_GEMMA = "Gemma is provided under and subject to the Gemma Terms of Use found at ai.google.dev/gemma/terms."
_OTHERS = (
    Terms("gemma", copy=True, notice=f"{_GEMMA} The files were modified."),
    Terms(
        "other",
        copy=True,
        notice="Built with Qwen. For research only, not for commercial use.",
        name="qwen-research",
        link="LICENSE",
    ),
    Terms("other", copy=True, name="lfm1.0", link="LICENSE"),
)
_TERMS = {
    **{each: Terms(each) for each in _FREE},
    **{each: Terms(each, copy=True, notice="The licence restricts what it may be used for.") for each in _RAIL},
    **{each: Terms(each, notice="Not for commercial use.") for each in _NOT_SOLD},
    **{each: Terms(each, changes=False) for each in _UNCHANGED},
    **{f"llama{n}": _llama(n) for n in ("2", "3", "3.1", "3.2", "3.3", "4")},
    "gemma": _OTHERS[0],
    "qwen-research": _OTHERS[1],
    "lfm1.0": _OTHERS[2],
}
# As the catalog spells them.
_SPELLED = {
    "gemma terms of use": "gemma",
    "qwen research license": "qwen-research",
    "lfm open license v1.0": "lfm1.0",
    **{f"llama {n} community license": f"llama{n}" for n in ("2", "3", "3.1", "3.2", "3.3", "4")},
}


def terms_of(licence: str) -> Terms | None:
    """What a licence asks for, by the catalog's spelling or the Hub's; None where it is not known here."""
    key = licence.strip().lower()
    return _TERMS.get(_SPELLED.get(key, key))


def require(licence: str, base: str, repo: str, has_text: bool, what: str) -> Terms:
    """The terms under which `what`, made of `base`, may go to `repo`; raises CannotPublish, and says why it may not.

    What has no base, since it was trained from nothing, goes under any licence that its owner states.
    """
    terms = terms_of(licence)
    if terms is None and not base:
        reason = f"the terms of “{licence[:60]}” are not known here" if licence else "no licence is stated for it"
        suggestion = "It was trained from nothing, so choose one with --licence, such as apache-2.0."
        raise CannotPublish(what=what, reason=reason, suggestion=suggestion)
    if terms is None:
        stated = "" if licence.lower() in UNKNOWN else licence[:60]
        reason = (
            f"the licence of {base}, “{stated}”, is not one whose terms are known here"
            if stated
            else f"the licence of {base} is not known"
        )
        suggestion = "Read its terms, and publish it by other means if they allow that."
        if not stated:
            suggestion = "If the base is your own, state its licence with --licence, such as apache-2.0."
        raise CannotPublish(what=what, reason=reason, suggestion=suggestion)
    if base and not terms.changes:
        raise CannotPublish(
            what=what,
            reason=f"the licence of {base}, {licence}, forbids changed versions",
            suggestion="Keep it to yourself, or ask its owner.",
        )
    if terms.begins and not repo.partition("/")[2].lower().startswith(terms.begins.lower()):
        raise CannotPublish(
            what=what,
            reason=f"the licence of {base}, {licence}, wants a name that begins with {terms.begins}",
            suggestion=f"Take such a name, like {terms.begins}-{repo.partition('/')[2]}.",
        )
    if terms.copy and not has_text:
        raise CannotPublish(
            what=what,
            reason=f"the licence of {base}, {licence}, wants its text to go along",
            suggestion="Give the file with its text with --licence-file; it is in the repository of the base.",
        )
    return replace(terms, link=terms.link or ("LICENSE" if has_text else ""))
