"""MedicationDispense v05 and v06: what went well stays one, what did not becomes a DetectedIssue with the alert's code."""

from collections.abc import Iterable

from translators.bindings import has_code
from translators.codes import CODE_SYSTEMS, SenderCodes
from translators.contract import Reason, Refused, RenumberedText, Tree
from translators.document import Entry, new_entry
from translators.made import made, plain
from translators.note import labels_of
from translators.note_status import status_words
from translators.source import Cursor
from translators.stu3.parts import (
    Part,
    begun,
    carried,
    code_of,
    coding,
    leftovers,
    taken,
    with_coding,
)
from translators.terminology import ALERT, DISPENSE, Event, dispense_event

NAME = "vkp-medicationdispense-events"
_OF_STU3 = tuple(f"{CODE_SYSTEMS}{NAME}-v0{number}" for number in (5, 6))
_FAILURE = "dispense-failure-is-an-alert"
_OVER = frozenset({"cancelled", "declined", "stopped"})
_STILL_TO_COME = frozenset({"in-progress", "on-hold", "preparation"})
_NAMES_OF_STU3 = {
    "statusReasonCodeableConcept": "notDoneReasonCodeableConcept",
    "statusReasonReference": "notDoneReasonReference",
}
WHY_NOT = tuple(_NAMES_OF_STU3)
"""The elements of R4 that say why a dispense was not performed."""
_WITHOUT_A_CODE = frozenset({"system", "version", "userSelected"})
"""What is left of a coding that says nothing."""
_NOT_DISPENSED = frozenset(f"1.{number}" for number in range(1, 10))
"""The alerts that say themselves that no medicine came; the others do not say what became of it."""
_NATIONAL = "urn:oid:2.16.578.1.12.4.1"
"""Where the systems of national numbers for persons, professionals and organisations begin; devices have others."""


def event_of(at: Cursor) -> Event:
    """Return what happened; raises `Refused` where a dispense of STU3 lacks what its profile demands, or says two things."""
    category = _category_of(at)
    _refuse_without_performer(at)
    code = code_of(category, NAME)
    event = dispense_event(code) if code is not None else None
    if event is None:
        raise Refused(Reason.FORMAT, f"no known code of {NAME}", f"{category.path}.coding")
    _refuse_another_event(category, event.kind)
    return event


def _category_of(at: Cursor) -> Cursor:
    category = at.at("category")
    if category is None:
        raise Refused(Reason.FORMAT, "category is missing, which says what happened", f"{at.path}.category")
    return category


def _refuse_without_performer(at: Cursor) -> None:
    if at.at("performer") is None:
        raise Refused(Reason.FORMAT, "performer is missing, which says by which device", f"{at.path}.performer")


def refuse_unsuccessful(at: Cursor, *, of_stu3: bool = False) -> None:
    """Raise `Refused` for a dispense that nobody performed or completed, or of which a reason says why it was not performed.

    JFT takes the successful ones alone (NHN's JFT WriteAPI page, and the profile vkp-MedicationDispense-v090).
    """
    _refuse_without_performer(at)
    for name in WHY_NOT:
        if (found := at.at(name)) is not None and _says_something(found.value):
            text = "it says why nothing was dispensed, and the code that something was"
            raise Refused(Reason.FORMAT, text, f"{at.path}.{_NAMES_OF_STU3[name] if of_stu3 else name}")
    if at.text("status") != "completed":
        text = "a dispense that is not completed, and whose code says no other thing that happened"
        raise Refused(Reason.FORMAT, text, f"{at.path}.status")


def _says_something(reason: Tree) -> bool:
    """Tell whether a reason is more than the code system that it would be of, as some send it whose code is left empty."""
    if not isinstance(reason, dict) or reason.keys() != {"coding"}:
        return True
    return any(one.keys() - _WITHOUT_A_CODE for one in _codings(reason))


def newer_event_of(at: Cursor, codes: SenderCodes) -> Event:
    """Return what happened, by a category of R4: a code of today's table or of an older one, or the code of an alert.

    Raises `Refused` where it says nothing of that.
    """
    category = _category_of(at)
    event = _newer_event(category, codes)
    _refuse_another_event(category, event.kind, codes)
    return event


def _newer_event(category: Cursor, codes: SenderCodes) -> Event:
    found = codes.other(category, DISPENSE)
    if found is not None and found.becomes == "alert":
        return Event("alert", found.code)
    if found is not None:
        return Event("test", None)
    if has_code(category.value, DISPENSE):
        return Event("dispense", None)
    of_stu3 = code_of(category, NAME) if any(one.text("system") for one in category.each("coding")) else None
    if of_stu3 is not None and (event := dispense_event(of_stu3)) is not None:
        return event
    alerts = [one.text("code") or "" for one in category.each("coding") if one.text("system") == ALERT]
    if alerts and has_code(category.value, ALERT):
        return Event("alert", alerts[0])
    raise Refused(Reason.FORMAT, f"no known code of {NAME}", f"{category.path}.coding")


def has_codes_of_others(category: Tree) -> bool:
    """Tell whether a category has a code beside those of today's dispenses that may say that something else happened."""
    return has_code(category, ALERT) or any(_is_of_stu3(one.get("system")) for one in _codings(category))


def _refuse_another_event(category: Cursor, kind: str, codes: SenderCodes | None = None) -> None:
    """Raise `Refused` where a code beside the one that is read says that something else happened: who reads which is unknown.

    `codes` are those of a sender of R4.
    """
    said = {found for one in category.each("coding") if (found := _kind_said(one, codes)) is not None}
    if said - {kind}:
        text = (
            "a test and something else in one message"
            if "test" in {kind, *said}
            else "the code of a dispense, and one by which something else happened"
        )
        raise Refused(Reason.FORMAT, text, f"{category.path}.coding")


def _kind_said(one: Cursor, codes: SenderCodes | None) -> str | None:
    """Return what kind of event a coding of VKP's says; "" for a code of dispenses that is in no table, None for any other."""
    system, code = one.text("system"), one.text("code")
    if not code:
        return None
    if _is_of_stu3(system):
        event = dispense_event(code)
        return event.kind if event is not None else ""
    if system == ALERT:
        return "alert"
    if system != DISPENSE:
        return None
    today = codes.reading(one) if codes is not None and not one.holds("code", RenumberedText) else None
    if today is None:
        return "dispense"
    return "alert" if today.becomes == "alert" else "test"


def _is_of_stu3(system: Tree) -> bool:
    return isinstance(system, str) and system.startswith(_OF_STU3)


def _codings(concept: Tree) -> list[dict[str, Tree]]:
    found = concept.get("coding") if isinstance(concept, dict) else None
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def renewed(part: Part, event: Event, *, of_stu3: bool = True) -> list[Entry]:
    """Return the dispense as v090 has it, with the entries that are made for it."""
    if event.kind == "dispense":
        _refuse_not_done(part.at)
        refuse_unsuccessful(part.at, of_stu3=of_stu3)
        return [Entry(part.link, part.url, _dispense(part.at, event.code or ""))]
    return alert(part, event.code or "")


def alert(part: Part, code: str, superseded: str | None = None) -> list[Entry]:
    """Return a dispense that failed as the alert with this code of vkp-alert-code-v090, and its device.

    `superseded` is the code system whose codes mean something else today (`with_coding`).
    """
    at = part.at
    issue = begun(at, "DetectedIssue", _FAILURE)
    issue |= taken(at, "identifier")
    issue["status"] = _status(at)
    issue |= taken(at, "_status")
    category = at.at("category")
    if category is not None:
        today = coding(ALERT, code)
        says_so = superseded is not None and has_code(category.value, ALERT)
        issue["code"] = (
            category.carry() if says_so else with_coding(category, today, "alert-of-dispense-event", superseded)
        )
    patient = at.take("subject")
    if patient is not None:
        issue["patient"] = patient
    if at.at("whenHandedOver") is not None:
        issue |= {name.replace("whenHandedOver", "identifiedDateTime"): value for name, value in _handed_over(at)}
    author, devices = _author(at, part.link, labels_of([issue]))
    if author is not None:
        issue["author"] = author
    implicated = _medication(at)
    if implicated is not None:
        issue["implicated"] = [implicated]
    status = at.text("status")
    words = status_words("MedicationDispense", status) if status is not None and code not in _NOT_DISPENSED else None
    if words is not None:
        issue["detail"] = made(words, _FAILURE)
    elif (detail := _only_text(at)) is not None:
        issue["detail"] = detail
    own = at.take("extension")
    kept = [*(own if isinstance(own, list) else []), *leftovers(at, "MedicationDispense")]
    if kept:
        issue["extension"] = kept
    return [Entry(part.link, part.url, issue), *devices]


def device(identifier: Tree, name: Tree, rule: str, labels: dict[str, Tree]) -> dict[str, Tree]:
    """Return a Device with what a sender says of one: its identifier, and what people call it; `labels` are what says so has."""
    result: dict[str, Tree] = {"resourceType": made("Device", rule)}
    if labels:
        result["meta"] = made(labels, rule)
    if identifier is not None:
        result["identifier"] = [identifier]
    if name is not None:
        result["deviceName"] = [{"name": name, "type": made("user-friendly-name", rule)}]
    return result


def _dispense(at: Cursor, code: str) -> dict[str, Tree]:
    result = begun(at, "MedicationDispense", _FAILURE)
    category = at.at("category")
    if category is not None:
        result["category"] = with_coding(category, coding(DISPENSE, code), "dispense-event-renumbered")
    return result | carried(at, but=result)


def _refuse_not_done(at: Cursor) -> None:
    """Raise `Refused` where the event says that medicine was dispensed, and `notDone` that it was not.

    Of the releases only R4 has the status `declined`: it stands for STU3's `notDone`.
    """
    status = at.at("status")
    if status is not None and plain(status.value) == "declined":
        raise Refused(Reason.FORMAT, "notDone says that it did not happen", f"{at.path}.notDone")


def _status(at: Cursor) -> Tree:
    """Return the status of the alert: final, or preliminary where the dispense was still to come when it was sent.

    That nothing was dispensed is what the alert says itself, or its detail. Raises `Refused` for a status that leaves open what
    happened.
    """
    place = at.at("status")
    if place is None and at.has("_status"):
        raise Refused(Reason.FORMAT, "an extension says why there is no status", f"{at.path}._status")
    if place is None:
        return made("final", _FAILURE)
    if place.value == "completed":
        return place.replaced("final", "completed-dispense-is-final")
    if plain(place.value) in _OVER:
        return place.replaced("final", _FAILURE)
    if place.value in _STILL_TO_COME:
        return place.replaced("preliminary", _FAILURE)
    raise Refused(Reason.FORMAT, "a dispense that failed, of a status that an alert cannot say", place.path)


def _handed_over(at: Cursor) -> Iterable[tuple[str, Tree]]:
    return taken(at, "whenHandedOver").items()


def _author(at: Cursor, link: str, labels: dict[str, Tree]) -> tuple[Tree, list[Entry]]:
    """Return who raised the alert: the first performer, which is a Device of its own unless it is a person or refers to one."""
    performers = at.each("performer")
    actor = performers[0].at("actor") if performers else None
    if actor is None:
        return None, []
    system = actor.text("identifier", "system")
    if actor.at("reference") is not None or system is None or system.startswith(_NATIONAL):
        return actor.carry(), []
    rule = "performer-is-a-device"
    made_device = device(actor.take("identifier"), actor.take("display"), rule, labels)
    entry = new_entry(link, "device", made_device, rule)
    return {"reference": made(entry.link, rule), **carried(actor, but=("reference",))}, [entry]


def _medication(at: Cursor) -> Tree:
    """Return what the alert is about; the profile of STU3 says "Ukjent medisin" in every message."""
    reference = at.take("medicationReference")
    concept = at.at("medicationCodeableConcept")
    if reference is not None or concept is None or concept.text("text") is None:
        return reference
    return {"display": concept.take("text")}


def _only_text(at: Cursor) -> Tree:
    instructions = at.each("dosageInstruction")
    return instructions[0].take("text") if len(instructions) == 1 else None
