"""Why JFT refused a message (400): the places and texts of its answer, without anything that the message says.

The form of its errors is not documented. An OperationOutcome is read, and problem details (RFC 9457) with `errors` or
`validationErrors`, as NHN's other interfaces answer; of anything else nothing is told.
"""

import re
from collections.abc import Iterator
from typing import Any

import msgspec

MOST = 20
"""How many faults are told."""
_LONGEST = 300
"""Characters of one text."""
_HIDDEN = "…"
_PLACE = re.compile(r"(?!.*\d{5})[A-Za-z$][A-Za-z0-9$._:\[\]()*/-]{0,199}")
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"|«[^»]*»|`[^`]*`|“[^”]*”|‘[^’]*’")
_NUMBER = re.compile(r"(?<![\w\[.-])[+-]?\d[\d.,:/T+Z -]*|\d{4,}[\d.,:/+-]*")
_WORD = re.compile(r"\w{3,}")
_TAG = re.compile(r"<[^>]*>")
_NOT_SAID = frozenset({"resourceType", "url", "system", "status", "use", "profile", "fullUrl"})
"""Elements whose values are FHIR's or VKP's own words, none of a sender or patient."""
_NESTED = 100


def refusal_reasons(answer: bytes, sent: bytes) -> str:
    """Return what an answer says was wrong, `place: text; place: text`; "" where it says nothing that can be told.

    Left out of the texts are numbers, what stands in quotation marks, and every word that the message which was sent holds.
    """
    try:
        document = msgspec.json.decode(answer)
        words = frozenset(_words(msgspec.json.decode(sent), 0))
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return ""
    told = [_told(place, text, words) for place, text in _faults(document)]
    return "; ".join(dict.fromkeys(one for one in told[:MOST] if one))


def _faults(document: Any) -> Iterator[tuple[str, str]]:
    if not isinstance(document, dict):
        return
    for issue in _objects(document.get("issue")):
        places = [place for name in ("expression", "location") for place in _texts(issue.get(name))]
        details = issue.get("details")
        said = [issue.get("diagnostics"), details.get("text") if isinstance(details, dict) else None]
        yield next(iter(places), ""), next((one for one in said if isinstance(one, str)), "")
    for name in ("errors", "validationErrors"):
        found = document.get(name)
        if isinstance(found, dict):
            yield from ((str(place), text) for place, texts in found.items() for text in _texts(texts))
        for error in _objects(found):
            place, text = (next((error[key] for key in keys if isinstance(error.get(key), str)), "") for keys in _KEYS)
            yield place, text


_KEYS = (("path", "field", "propertyName"), ("message", "errorMessage", "detail"))


def _objects(value: Any) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _texts(value: Any) -> list[str]:
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []


def _told(place: str, text: str, words: frozenset[str]) -> str:
    where = place if _PLACE.fullmatch(place) else ""
    bare = _NUMBER.sub(_HIDDEN, _QUOTED.sub(_HIDDEN, text[: 4 * _LONGEST]))
    what = _WORD.sub(lambda word: _HIDDEN if word[0].casefold() in words else word[0], bare)
    what = " ".join("".join(char if char.isprintable() else " " for char in what).split())[:_LONGEST]
    return ": ".join(part for part in (where, what) if part)


def _words(tree: Any, depth: int, name: str = "") -> Iterator[str]:
    """Go through the words of a message, but for those of FHIR and VKP themselves."""
    if depth > _NESTED:
        return
    if isinstance(tree, dict):
        for key, value in tree.items():
            if key not in _NOT_SAID:
                yield from _words(value, depth + 1, key)
    elif isinstance(tree, list):
        for item in tree:
            yield from _words(item, depth + 1, name)
    elif isinstance(tree, str):
        text = _TAG.sub(" ", tree) if name == "div" else tree
        yield from (word.casefold() for word in _WORD.findall(text))
