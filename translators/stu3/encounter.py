"""The digital Encounter v06: modes and devices become participants, a sensor's event becomes a DetectedIssue."""

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

from translators.codes import CODE_SYSTEMS, SenderCodes
from translators.contract import Reason, Refused, Tree
from translators.document import ANNOTATIONS, Entry, new_entry
from translators.fhir.rules import INHERITED
from translators.made import made, plain
from translators.note import labels_of, subject_of
from translators.source import Cursor
from translators.stu3.medication_dispense import device
from translators.stu3.parts import (
    PROFILES,
    Part,
    begun,
    carried,
    code_of,
    coding,
    says_only,
    with_coding,
)
from translators.terminology import ALERT, MODE, REASON, TYPE, alert_of_reason, mode_of_class

_VIRTUAL: dict[str, Tree] = {
    "system": "http://terminology.hl7.org/CodeSystem/v3-ActCode",
    "code": "VR",
    "display": "virtual",
}
_DEVICE = f"{PROFILES}vkp-encounterDevice-v06".lower()
_OF_DEVICE = {"deviceidentifier": "valueIdentifier", "display": "valueString"}
_DEVICE_REFERENCE = f"{PROFILES}vkp-deviceReference-v090"
_MODE_RULE = "mode-is-a-participant"
_DEVICE_RULE = "encounter-device-is-a-device"
_MOST = 100
_NOT_TAKEN_PLACE = frozenset({"cancelled", "planned", "unknown"})
_ALERT_RULE = "sensor-event-is-an-alert"

AlertOf: TypeAlias = Callable[[Cursor], str | None]
"""The alert that a reason is, or None where it is a reason of today."""


class _Alert(NamedTuple):
    """What a reason says that was detected."""

    code: str
    text: str | None
    """In its sender's words, which may say more than the code, or another thing."""


def renewed(part: Part) -> list[Entry]:
    """Return the encounter as v090 has it, with the alert of its sensor and its devices."""
    at = part.at
    _refuse_too_many(at)
    mode, has_own = _mode_of_all(at), _has_devices_of_modes(at)
    is_typed = mode is not None or all(one.has("type") for one in at.each("participant"))
    result = begun(at, "Encounter", "encounter", claims_profile=is_typed and has_own)
    extensions, devices = _extensions(at, part.link, labels_of([result]))
    if extensions:
        result["extension"] = extensions
    modes = _modes(at, devices) if has_own else [*_modes(at, []), *_of_devices(devices)]
    result["class"] = _class(at)
    alerts = _read_reasons(at, result, _alert_of)
    participants = [*(_person(one, mode) for one in at.each("participant")), *modes]
    if participants:
        result["participant"] = participants
    result |= carried(at, but=result)
    return [Entry(part.link, part.url, result), *_issues(part, result, alerts), *devices]


def newer(part: Part, devices: frozenset[str], codes: SenderCodes) -> list[Entry]:
    """Return an Encounter of R4 without what older profiles, or FHIR R4 itself, do not have.

    `devices` are the links of the message's devices: R4 lets no Device take part, so its reference goes into the extension
    that VKP published for it. `codes` knows the superseded reasons and types of the sender.
    """
    at = part.at
    _refuse_too_many(at)
    result: dict[str, Tree] = {}
    alerts = _read_reasons(at, result, lambda reason: _superseded_alert(reason, codes), superseded=REASON)
    participants = [_with_mode(one, _without_device(one, devices), codes) for one in at.each("participant")]
    participants += _read_types(at, result, codes)
    if participants:
        result["participant"] = participants
    result = carried(at) | result
    return [Entry(part.link, part.url, result), *_issues(part, result, alerts)]


def _superseded_alert(reason: Cursor, codes: SenderCodes) -> str | None:
    found = codes.other(reason, REASON)
    return found.code if found is not None else None


def _with_mode(at: Cursor, participant: Tree, codes: SenderCodes) -> Tree:
    """Return a participant with the mode of today before the one that its type was, as vkp-encounter-type-v090 had it."""
    found = [codes.other(one, TYPE) for one in at.each("type")]
    if not isinstance(participant, dict) or not any(one is not None and one.system == MODE for one in found):
        return participant
    types: list[Tree] = []
    for one, today in zip(at.each("type"), found, strict=True):
        is_mode = today is not None and today.system == MODE and today.code is not None
        types.append(with_coding(one, coding(MODE, today.code), _MODE_RULE) if is_mode else one.carry())  # type: ignore[union-attr, arg-type] # is_mode says so
    return {**participant, "type": types}


def _read_types(at: Cursor, result: dict[str, Tree], codes: SenderCodes) -> list[Tree]:
    """Return the participants that types are, and write the reason that one is, where the Encounter has none of its own.

    vkp-encounter-type-v090 said first whether the supervision was planned, and then for two weeks how it was done. Only of a
    participant's type the last table is what VKP's profile names.
    """
    for one in at.each("type"):
        codes.refuse_ambiguous(one, TYPE)
    today = [found for one in at.each("type") if (found := codes.other(one, TYPE)) is not None and found.code]
    reasons = dict.fromkeys(found.code for found in today if found.system == REASON)
    if reasons and "reasonCode" not in result:
        result["reasonCode"] = made([{"coding": [coding(REASON, code or "")]} for code in reasons], "type-is-a-reason")
    said = {
        one.text("code")
        for participant in at.each("participant")
        for kind in participant.each("type")
        for one in kind.each("coding")
        if one.text("system") in (MODE, TYPE)
    }
    modes = dict.fromkeys(found.code for found in today if found.system == MODE and found.code not in said)
    return [made({"type": [{"coding": [coding(MODE, code or "")]}]}, _MODE_RULE) for code in modes]


def _refuse_too_many(at: Cursor) -> None:
    """Raise `Refused` where what is made of each of these, and of each with each, would grow out of bounds."""
    for name in ("reasonCode", "type", "extension", "classHistory"):
        if len(at.each(name)) > _MOST:
            raise Refused(Reason.FORMAT, f"more than {_MOST} of one element", f"{at.path}.{name}")


def is_device(individual: Cursor | None, devices: frozenset[str]) -> bool:
    """Whether a participant is a device, by its reference or its type."""
    if individual is None:
        return False
    return individual.text("reference") in devices or individual.text("type") == "Device"


def _without_device(at: Cursor, devices: frozenset[str]) -> Tree:
    individual = at.at("individual")
    if individual is None or not is_device(individual, devices):
        return at.carry()
    individual.repair("device-participant-in-extension")
    own = at.take("extension")
    moved: dict[str, Tree] = {"url": made(_DEVICE_REFERENCE, _DEVICE_RULE), "valueReference": at.take("individual")}
    return {"extension": [*(own if isinstance(own, list) else []), moved], **carried(at)}


def _class(at: Cursor) -> Tree:
    """Return the class of today; VKP's own classes said how the supervision was done, which participants say now."""
    if at.at("class") is None or _mode(at) is not None:
        return made(dict(_VIRTUAL), "digital-encounter-is-virtual")
    return at.take("class")


def _mode(at: Cursor) -> str | None:
    """Return the mode that a class is, as STU3 had it."""
    system, code = at.text("class", "system"), at.text("class", "code")
    is_vkp = system is None or system.startswith(f"{CODE_SYSTEMS}vkp-encounter-class-")
    return mode_of_class(code) if code is not None and is_vkp else None


def _modes(at: Cursor, devices: list[Entry]) -> list[Tree]:
    """Return a participant for every mode, with its period and the devices; one for these alone where no mode is said."""
    history = [one for one in at.each("classHistory") if _mode(one) is not None]
    participants = [_participant(one, devices) for one in history]
    if _mode(at) is None:
        return participants or _of_devices(devices)
    place = at.at("class")
    fields = place.children() if place is not None else []
    if _mode(at) not in {_mode(one) for one in history} or not all(below.is_leaf for below in fields):
        return [_participant(at, devices), *participants]
    # One mode, said twice: the history says when as well.
    for below in fields:
        below.repair("mode-said-in-class-history")
    return participants


def _has_devices_of_modes(at: Cursor) -> bool:
    """Tell whether the devices can only be those of each mode: of several nobody knows which was used in which of several modes."""
    modes = {_mode(one) for one in (at, *at.each("classHistory"))} - {None}
    return len(modes) <= 1 or sum(_is_of_device(one) for one in at.each("extension")) <= 1


def _is_of_device(extension: Cursor) -> bool:
    return (extension.text("url") or "").lower() == _DEVICE


def _mode_of_all(at: Cursor) -> str | None:
    """Return the one mode that the encounter had, in which everybody took part; None where it had several, or none."""
    modes = {_mode(one) for one in (at, *at.each("classHistory"))} - {None}
    return modes.pop() if len(modes) == 1 else None


def _person(at: Cursor, mode: str | None) -> Tree:
    """Return who took part, with the type that v090 demands: the mode of the encounter."""
    if at.has("type") or mode is None:
        return at.carry()
    return {"type": made([{"coding": [coding(MODE, mode)]}], _MODE_RULE), **carried(at)}


def _participant(at: Cursor, devices: list[Entry]) -> Tree:
    own = at.take("class")
    mode = coding(MODE, _mode(at) or "")
    participant: dict[str, Tree] = {}
    if devices:
        participant["extension"] = made(_references(devices), _DEVICE_RULE)
    participant["type"] = [{"coding": [made(mode, _MODE_RULE), own]}]
    if at.name == "classHistory":
        participant |= carried(at, but=participant)
    return participant


def _of_devices(devices: list[Entry]) -> list[Tree]:
    return [made({"extension": _references(devices)}, _DEVICE_RULE)] if devices else []


def _references(devices: list[Entry]) -> list[Tree]:
    return [{"url": _DEVICE_REFERENCE, "valueReference": {"reference": one.link}} for one in devices]


def _extensions(at: Cursor, link: str, labels: dict[str, Tree]) -> tuple[list[Tree], list[Entry]]:
    kept: list[Tree] = []
    devices: list[Entry] = []
    for extension in at.each("extension"):
        url = (extension.text("url") or "").lower()
        found = _device(extension, link, len(devices), labels) if _is_of_device(extension) else None
        if found is not None:
            devices.append(found)
        elif url == ANNOTATIONS[0].lower():
            place = extension.at("url")
            written = place.replaced(ANNOTATIONS[1], "extension-url-of-v090") if place is not None else None
            kept.append({"url": written, **carried(extension)})
        else:
            kept.append(extension.carry())
    return kept, devices


def _device(extension: Cursor, link: str, index: int, labels: dict[str, Tree]) -> Entry | None:
    """Return the device of an extension: flat as its definition has it, or one level deeper as the examples do.

    None where it says more than that, so that the extension has to stay one.
    """
    holders = [extension]
    inner = extension.each("extension")
    if len(inner) == 1 and inner[0].text("url") == "device":
        holders.append(inner[0])
        inner = inner[0].each("extension")
    by_name = {(one.text("url") or "").lower(): one for one in inner}
    is_known = len(by_name) == len(inner) and all(says_only(one, "url", "extension") for one in holders)
    if not is_known or not all(says_only(one, "url", _OF_DEVICE.get(name, "")) for name, one in by_name.items()):
        return None
    for one in (*holders, *inner):
        _use_url(one)
    values = {name: one.take(_OF_DEVICE[name]) for name, one in by_name.items()}
    found = device(values.get("deviceidentifier"), values.get("display"), _DEVICE_RULE, labels)
    return new_entry(link, f"device {index}", found, _DEVICE_RULE)


def _use_url(extension: Cursor) -> None:
    place = extension.at("url")
    if place is not None:
        place.repair(_DEVICE_RULE)


def _alert_of(reason: Cursor) -> str | None:
    code = code_of(reason, "vkp-encounter-reason")
    return alert_of_reason(code) if code is not None else None


def _read_reasons(
    at: Cursor, result: dict[str, Tree], alert_of: AlertOf, superseded: str | None = None
) -> list[_Alert]:
    """Write the reasons, and return the alerts that they are: an event is what the encounter was for."""
    alerts: list[_Alert] = []
    reasons: list[Tree] = []
    for reason in at.each("reasonCode"):
        alert = alert_of(reason)
        if alert is None:
            reasons.append(reason.carry())
        else:
            alerts.append(_Alert(alert, reason.text("text")))
            reasons.append(with_coding(reason, coding(REASON, "2"), _ALERT_RULE, superseded))
    if reasons:
        result["reasonCode"] = reasons
    return alerts


def _issues(part: Part, encounter: dict[str, Tree], alerts: list[_Alert]) -> list[Entry]:
    """Return the alerts of an encounter; raises `Refused` where it may not have taken place, and so nothing was detected."""
    if alerts and "status" not in encounter and "_status" in encounter:
        raise Refused(Reason.FORMAT, "an extension says why there is no status", f"{part.at.path}._status")
    if alerts and plain(encounter.get("status")) in _NOT_TAKEN_PLACE:
        text = "a sensor's event, of a supervision that did not take place: a person has to say what happened"
        raise Refused(Reason.UNSUPPORTED, text, f"{part.at.path}.status")
    modified = INHERITED.intersection(encounter)
    if alerts and modified:
        text = "it may change what the rest means, so that no alert can be made of it"
        raise Refused(Reason.UNSUPPORTED, text, f"{part.at.path}.{min(modified)}")
    return [_issue(part, encounter, alert, index) for index, alert in enumerate(alerts)]


def _issue(part: Part, encounter: dict[str, Tree], alert: _Alert, index: int) -> Entry:
    issue: dict[str, Tree] = {
        "resourceType": "DetectedIssue",
        "meta": {"profile": [f"{PROFILES}vkp-DetectedIssue-v090"], **labels_of([encounter])},
        "status": "final",
        "code": {"coding": [coding(ALERT, alert.code)], **({"text": alert.text} if alert.text is not None else {})},
        "implicated": [{"reference": part.link}],
    }
    subject, period = subject_of([(part.link, encounter)]), encounter.get("period")
    if subject is not None:
        issue["patient"] = subject
    if isinstance(period, dict) and "start" in period:
        issue["identifiedDateTime"] = period["start"]
    return new_entry(
        part.link, f"alert {index}", {name: made(value, _ALERT_RULE) for name, value in issue.items()}, _ALERT_RULE
    )
