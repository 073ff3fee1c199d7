"""Notes of STU3 and of older profiles of R4: the class becomes the category, and today's codes stand before their own."""

from collections.abc import Callable

from translators.codes import CODE_SYSTEMS, SenderCodes
from translators.contract import Reason, Refused, Tree
from translators.document import Entry
from translators.made import made
from translators.note import EPISODE_NOTE, LOINC
from translators.source import Cursor
from translators.stu3.parts import Part, begun, carried, code_of, coding, recoded, with_coding
from translators.terminology import (
    CATEGORY,
    CLASS,
    EVENT,
    SECTION,
    category_of_class,
    event_of,
    event_of_section,
    is_not_journaled,
    section_of,
)

CLASSES = f"{CODE_SYSTEMS}vkp-composition-class-"
_CLASS = "vkp-composition-class"
_SECTION = "vkp-composition-section"
_CONSULT_NOTE = "11488-4"
_RULE = "composition-code-of-v090"
_EVENT_RULE = "section-is-an-event"


def renewed(part: Part) -> Entry:
    """Return a note of STU3 as v090 has it."""
    at = part.at
    result = begun(at, "Composition", _RULE)
    result["category"] = _categories(at)
    kind = at.at("type")
    if kind is not None:
        result["type"] = _type(kind)
    sections = [_section(one, _stu3_section) for one in at.each("section")]
    events = [_event(one) for one in at.each("event")] + _events_of_sections(at, _stu3_event)
    if events:
        result["event"] = events
    if sections:
        result["section"] = sections
    return Entry(part.link, part.url, result | carried(at, but=result))


def newer(part: Part, codes: SenderCodes) -> Entry:
    """Return a note of R4 without the codes of older tables that are of another element today."""
    at = part.at
    result: dict[str, Tree] = {}
    categories = [_category(one, codes) for one in at.each("category")]
    if categories:
        result["category"] = categories
    events = [one.carry() for one in at.each("event")]
    events += _events_of_sections(at, lambda code: _superseded_event(code, codes))
    if events:
        result["event"] = events
    sections = [_section(one, lambda code: _newer_section(code, codes)) for one in at.each("section")]
    if sections:
        result["section"] = sections
    whole = carried(at) | result
    # Fields stay where their sender had them.
    places = at.value if isinstance(at.value, dict) else {}
    return Entry(part.link, part.url, {name: whole[name] for name in places if name in whole} | whole)


def not_journaled(at: Cursor, codes: SenderCodes | None = None) -> Cursor | None:
    """Return where a note says by its class that its event is not to be journaled; None where it does not.

    In R4, whose `codes` are given, a class is one by its code system alone. Raises `Refused` where a second class says otherwise.
    """
    if codes is not None:
        _refuse_two_classes(at)
    for concept in at.each("category"):
        if codes is None:
            code = code_of(concept, _CLASS)
            if code is not None and is_not_journaled(code):
                return concept
            continue
        found = codes.other(concept, CLASS)
        of_stu3 = [one for one in concept.each("coding") if _is_class_of_stu3(one)]
        if (found is not None and found.becomes == "not-journaled") or any(
            is_not_journaled(one.text("code") or "") for one in of_stu3
        ):
            return concept
    return None


def _refuse_two_classes(at: Cursor) -> None:
    every = [one for concept in at.each("category") for one in concept.each("coding") if _is_class_of_stu3(one)]
    classes = {one.text("code") or "" for one in every}
    if len(classes) > 1 and any(map(is_not_journaled, classes)):
        raise Refused(Reason.FORMAT, f"two codes of {_CLASS}", f"{at.path}.category")


def _is_class_of_stu3(one: Cursor) -> bool:
    system = one.text("system") or ""
    return system.startswith(CLASSES) and system != CLASS


def _categories(at: Cursor) -> Tree:
    found = [_recoded(one, _CLASS, category_of_class, CATEGORY) for one in at.each("category")]
    return found or made([{"coding": [coding(CATEGORY, "1")]}], "category-of-a-note-without-class")


def _category(at: Cursor, codes: SenderCodes) -> Tree:
    """Return a category of R4, which has the codes of classes where its sender is older."""
    found = codes.other(at, CLASS)
    if found is not None and found.system == CATEGORY and found.code is not None:
        return with_coding(at, coding(CATEGORY, found.code), _RULE)
    if any(_is_class_of_stu3(one) for one in at.each("coding")) and not _has_system(at, CATEGORY):
        return _recoded(at, _CLASS, category_of_class, CATEGORY)
    return at.carry()


def _has_system(at: Cursor, system: str) -> bool:
    return any(one.text("system") == system for one in at.each("coding"))


def _type(at: Cursor) -> Tree:
    """Put the type that every note has before the one of STU3, which senders write without a system."""
    for one in at.each("coding"):
        if one.text("code") == EPISODE_NOTE["code"]:
            return at.carry()
    own = [_with_system(one) for one in at.each("coding")]
    return {"coding": [made(dict(EPISODE_NOTE), "type-of-every-note"), *own], **carried(at, but=("coding",))}


def _with_system(at: Cursor) -> Tree:
    if at.text("code") == _CONSULT_NOTE and at.at("system") is None:
        return {"system": made(LOINC, "system-of-a-loinc-code"), **carried(at)}
    return at.carry()


def _event(at: Cursor) -> Tree:
    codes = [_recoded(one, "vkp-composition-event", event_of, EVENT) for one in at.each("code")]
    return {**({"code": codes} if codes else {}), **carried(at, but=("code",))}


def _section(at: Cursor, coded: Callable[[Cursor], Tree]) -> Tree:
    result: dict[str, Tree] = {}
    code = at.at("code")
    if code is not None:
        result["code"] = coded(code)
    inner: list[Tree] = [_section(one, coded) for one in at.each("section")]
    if inner:
        result["section"] = inner
    return result | carried(at, but=result)


def _stu3_section(code: Cursor) -> Tree:
    return _recoded(code, _SECTION, section_of, SECTION)


def _newer_section(code: Cursor, codes: SenderCodes) -> Tree:
    """Return the code of a section of R4; one that is an event today gets the section code nearest to it."""
    if _superseded_event(code, codes) is None:
        return code.carry()
    old = next(one.text("code") or "" for one in code.each("coding") if one.text("system") == SECTION)
    nearest = section_of(old)
    today = coding(SECTION, nearest) if nearest is not None else coding(EVENT, event_of_section(old) or "")
    return with_coding(code, today, _RULE, superseded=SECTION)


def _superseded_event(code: Cursor, codes: SenderCodes) -> str | None:
    found = codes.other(code, SECTION)
    return found.code if found is not None and found.becomes == "event" else None


def _stu3_event(code: Cursor) -> str | None:
    own = code_of(code, _SECTION)
    return event_of_section(own) if own is not None else None


def _events_of_sections(at: Cursor, event_of_code: Callable[[Cursor], str | None]) -> list[Tree]:
    """Return the events that sections of older tables are today, each once and none that the note has itself."""
    own = {one.text("code") for event in at.each("event") for code in event.each("code") for one in code.each("coding")}
    found = [event_of_code(code) for code in _section_codes(at)]
    new = [code for code in dict.fromkeys(found) if code is not None and code not in own]
    return [made({"code": [{"coding": [coding(EVENT, code)]}]}, _EVENT_RULE) for code in new]


def _section_codes(at: Cursor) -> list[Cursor]:
    codes: list[Cursor] = []
    for section in at.each("section"):
        code = section.at("code")
        codes += [code] if code is not None else []
        codes += _section_codes(section)
    return codes


def _recoded(at: Cursor, name: str, today: Callable[[str], str | None], target: str) -> Tree:
    found = recoded(at, name, today, target, _RULE)
    return found if found is not None else at.carry()
