"""Composition of STU3: its class becomes the category, and today's codes stand before its own."""

from collections.abc import Callable

from translators.codes import CODE_SYSTEMS
from translators.contract import Tree
from translators.document import Entry
from translators.made import made
from translators.note import CATEGORY, EPISODE_NOTE, LOINC
from translators.source import Cursor
from translators.stu3.parts import Part, begun, carried, coding, recoded
from translators.terminology import SECTION, category_of_class, event_of, section_of

_CONSULT_NOTE = "11488-4"
_EVENT = f"{CODE_SYSTEMS}vkp-composition-event-v090"
_RULE = "composition-code-of-v090"


def renewed(part: Part) -> Entry:
    """Return the note as v090 has it."""
    at = part.at
    result = begun(at, "Composition", _RULE)
    result["category"] = _categories(at)
    kind = at.at("type")
    if kind is not None:
        result["type"] = _type(kind)
    events = [_event(one) for one in at.each("event")]
    if events:
        result["event"] = events
    sections = [_section(one) for one in at.each("section")]
    if sections:
        result["section"] = sections
    return Entry(part.link, part.url, result | carried(at))


def _categories(at: Cursor) -> Tree:
    found = [_recoded(one, "vkp-composition-class", category_of_class, CATEGORY) for one in at.each("category")]
    return found or made([{"coding": [coding(CATEGORY, "1")]}], "category-of-a-note-without-class")


def _type(at: Cursor) -> Tree:
    """Put the type that every note has before the one of STU3, which senders write without a system."""
    for one in at.each("coding"):
        if one.text("code") == EPISODE_NOTE["code"]:
            return at.carry()
    own = [_with_system(one) for one in at.each("coding")]
    return {"coding": [made(dict(EPISODE_NOTE), "type-of-every-note"), *own], **carried(at)}


def _with_system(at: Cursor) -> Tree:
    if at.text("code") == _CONSULT_NOTE and at.at("system") is None:
        return {"system": made(LOINC, "system-of-a-loinc-code"), **carried(at)}
    return at.carry()


def _event(at: Cursor) -> Tree:
    codes = [_recoded(one, "vkp-composition-event", event_of, _EVENT) for one in at.each("code")]
    return {**({"code": codes} if codes else {}), **carried(at)}


def _section(at: Cursor) -> Tree:
    result: dict[str, Tree] = {}
    code = at.at("code")
    if code is not None:
        result["code"] = _recoded(code, "vkp-composition-section", section_of, SECTION)
    inner: list[Tree] = [_section(one) for one in at.each("section")]
    if inner:
        result["section"] = inner
    return result | carried(at)


def _recoded(at: Cursor, name: str, today: Callable[[str], str | None], target: str) -> Tree:
    found = recoded(at, name, today, target, _RULE)
    return found if found is not None else at.carry()
