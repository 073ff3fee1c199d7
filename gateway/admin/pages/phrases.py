"""What the gateway itself says, in the reader's language: texts/phrases.*.toml have the sentences; what others said stays as they said it."""

import re
import tomllib
from collections.abc import Iterator
from functools import cache, lru_cache
from importlib import resources

from markupsafe import Markup, escape

_HOLE = re.compile(r"\{(n|invariant|)\}")
_FITS = {"": "(.+?)", "n": r"(n|\d+)", "invariant": r"([a-z]{2,4}-\d+[a-z]?)"}
"""What may stand in a hole; a count of findings was made `n` (ledger/findings.py)."""
_RULE = re.compile(r"(.+) \(([a-z]+(?:-\d+[a-z]?)?)\)", re.DOTALL)
"""What is wrong by one of FHIR's invariants, with its key."""
_PATH = re.compile(r"([\w.\[\]()@:*-]+): (.+)", re.DOTALL)
_DEEPEST = 4
_ANY_RULE = "{} ({invariant})"
_Phrase = tuple[re.Pattern[str], str]


def told(language: str, text: str) -> Markup:
    """Return what was said as a part of a page: a sentence of the gateway's in the reader's language, anything else marked as quoted."""
    if not text:
        return Markup("")
    return escape(_table("en").get(text, text)) if language == "en" else _told(text, _DEEPEST)


@lru_cache(maxsize=4096)
def _told(text: str, depth: int) -> Markup:
    if (exact := _phrases()[0].get(text)) is not None:
        # It may begin with a path of its own.
        return escape(exact).format()
    parts = text.split("; ")
    if depth and len(parts) > 1 and all(map(_PATH.fullmatch, parts)):
        return Markup("; ").join(_told(each, depth - 1) for each in parts)
    if depth and (at := _PATH.fullmatch(text)):
        return Markup("<code>{}</code>: {}").format(at[1], _told(at[2], depth - 1))
    if (rule := _invariant(text)) is not None:
        return rule
    if (found := _phrase(text)) is not None:
        says, values = found
        return escape(says).format(*(_value(each, depth) for each in values))
    if depth and len(parts) > 1:
        return Markup("; ").join(_told(each, depth - 1) for each in parts)
    return Markup('<q lang="en" data-quoted>{}</q>').format(text)


def _invariant(text: str) -> Markup | None:
    """Return what one of FHIR's rules asks for, beside what was said of it; None where it is none, or its sentence says more."""
    found = _RULE.fullmatch(text)
    if found is None or (asks := _invariants().get(text) or _invariants().get(found[2])) is None:
        return None
    known = _phrase(text)
    if known is not None and known[0] != _table("nb")[_ANY_RULE]:
        return None
    quoted = Markup('<q lang="en" data-quoted>{}</q>').format(found[1])
    return escape(_invariants()["broken"]).format(found[2], asks, quoted)


def _value(value: str, depth: int) -> Markup:
    """Return what stands in a hole: names, paths and numbers as they are, sentences as such."""
    names = not any(" " in each for each in value.split(", "))
    return escape(value) if names or not depth else _told(value, depth - 1)


def _phrase(text: str) -> tuple[str, tuple[str, ...]] | None:
    exact, patterns = _phrases()
    if (says := exact.get(text)) is not None:
        return says, ()
    for pattern, says in patterns:
        if found := pattern.fullmatch(text):
            return says, found.groups()
    return None


@cache
def _phrases() -> tuple[dict[str, str], tuple[_Phrase, ...]]:
    """Return sentences that are always the same, and patterns of the others, the one that says most first."""
    table = _table("nb")
    holed = sorted((one for one in table if _HOLE.search(one)), key=lambda one: -len(_HOLE.sub("", one)))
    return (
        {one: says for one, says in table.items() if one not in holed},
        tuple((re.compile("".join(_pieces(one)), re.DOTALL), table[one]) for one in holed),
    )


@cache
def _invariants() -> dict[str, str]:
    """Return what each of FHIR's invariants asks for, by its key; where two have one key, by what is said of it too."""
    path = resources.files("gateway.admin.pages").joinpath("texts", "invariants.nb.toml")
    return tomllib.loads(path.read_text(encoding="utf-8"))


@cache
def _table(language: str) -> dict[str, str]:
    path = resources.files("gateway.admin.pages").joinpath("texts", f"phrases.{language}.toml")
    return tomllib.loads(path.read_text(encoding="utf-8"))


def _pieces(sentence: str) -> Iterator[str]:
    for index, piece in enumerate(_HOLE.split(sentence)):
        yield _FITS[piece] if index % 2 else re.escape(piece)
