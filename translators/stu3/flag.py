"""Flag v05, v06 and v090 to DetectedIssue: VKP took the profile of Flag away when alerts became DetectedIssues."""

from translators.codes import CODE_SYSTEMS, SenderCodes
from translators.contract import FormerStatus, Reason, Refused, Tree
from translators.document import Entry
from translators.made import made
from translators.source import Cursor
from translators.stu3.parts import PROFILES, Part, begun, coding, leftovers, says_only, taken, with_coding
from translators.terminology import ALERT, FLAG, knows_severity, severity_of

_RULE = "flag-is-an-alert"
_HIGHEST_FIRST = ("high", "moderate", "low")
_DETAIL = "http://hl7.org/fhir/StructureDefinition/flag-detail"
_LEVELS = f"{CODE_SYSTEMS}vkp-emergency-level-"
_TRIAGE = f"{CODE_SYSTEMS}vkp-triage-v05"
_TIME = f"{PROFILES}vkp-timestamp-v05"
_RENAMED = {f"{PROFILES}vkp-displayURL-v05".lower(): f"{PROFILES}vkp-displayURL-v090"}


def renewed(part: Part, codes: SenderCodes, alert: str | None = None) -> list[Entry]:
    """Return the flag as v090 has it; `alert` is the code of what its message is about, used where it has none itself."""
    at = part.at
    issue = begun(at, "DetectedIssue", _RULE)
    issue |= taken(at, "identifier")
    issue["status"] = _status(at)
    issue |= taken(at, "_status")
    code = at.at("code")
    if code is not None:
        issue["code"] = concept_of(code, codes, alert)
    elif alert is not None:
        issue["code"] = {"coding": [made(coding(ALERT, alert), "alert-of-the-message")]}
    patient = at.take("subject")
    if patient is not None:
        issue["patient"] = patient
    issue |= taken(at, "author")
    issue |= _time(at.at("period"))
    _read_extensions(at, issue)
    kept = [*_own(issue), *leftovers(at, "Flag")]
    if kept:
        issue["extension"] = kept
    return [Entry(part.link, part.url, issue)]


def concept_of(code: Cursor, codes: SenderCodes, alert: str | None = None) -> Tree:
    """Return what an alert is: by its own alert code, by its code of vkp-flag-code-v090, or else by `alert`."""
    if any(one.text("system") == ALERT for one in code.each("coding")):
        return code.carry()
    own = codes.other(code, FLAG)
    if own is not None and own.code is not None:
        return with_coding(code, coding(ALERT, own.code), "alert-of-flag-code")
    return with_coding(code, coding(ALERT, alert), "alert-of-the-message") if alert is not None else code.carry()


def _status(at: Cursor) -> Tree:
    """Return the status of the alert, which is final; that a flag is no longer active is said by the end of its period.

    Raises `Refused` where nothing of the alert would say so.
    """
    place, period = at.at("status"), at.at("period")
    if place is None and at.has("_status"):
        raise Refused(Reason.FORMAT, "an extension says why there is no status", f"{at.path}._status")
    if place is None:
        return made("final", _RULE)
    if place.value == "active":
        return place.replaced("final", "active-flag-is-final")
    if place.value == "inactive" and period is not None and period.has("end"):
        return place.replaced(FormerStatus("final", "Flag.status", "inactive"), "inactive-flag-has-ended")
    raise Refused(Reason.FORMAT, "a flag that is no longer active, and does not say since when", place.path)


def _time(period: Cursor | None) -> dict[str, Tree]:
    if period is None:
        return {}
    if set(period.value if isinstance(period.value, dict) else ()) == {"start"}:
        return {"identifiedDateTime": period.take("start")}
    return {"identifiedPeriod": period.carry()}


def _read_extensions(at: Cursor, issue: dict[str, Tree]) -> None:
    """Move what a DetectedIssue has an element for; every other extension stays one."""
    implicated: list[Tree] = []
    kept: list[Tree] = []
    severities: list[str] = []
    for extension in at.each("extension"):
        url = extension.text("url") or ""
        place = extension.at("url")
        if url == _DETAIL and place is not None and says_only(extension, "url", "valueReference"):
            place.repair("flag-detail-is-implicated")
            implicated.append(extension.take("valueReference"))
        elif (
            url == _TIME and place is not None and says_only(extension, "url", "valueDateTime") and not _has_time(issue)
        ):
            place.repair("timestamp-is-identified-time")
            issue["identifiedDateTime"] = extension.take("valueDateTime")
        else:
            severity = _severity(extension)
            if severity is not None:
                severities.append(severity)
            kept.append(_renamed(extension, url, place))
    if severities:
        issue["severity"] = made(min(severities, key=_HIGHEST_FIRST.index), "severity-of-emergency-level")
    if implicated:
        issue["implicated"] = implicated
    if kept:
        issue["extension"] = kept


def _has_time(issue: dict[str, Tree]) -> bool:
    return bool(issue.keys() & {"identifiedDateTime", "identifiedPeriod"})


def _renamed(extension: Cursor, url: str, place: Cursor | None) -> Tree:
    right = _RENAMED.get(url.lower())
    if right is None or place is None:
        return extension.carry()
    written = place.replaced(right, "extension-url-of-v090")
    return {"url": written, **_others(extension)}


def _others(extension: Cursor) -> dict[str, Tree]:
    return {name: extension.take(name) for name in _names(extension) if name != "url"}


def _names(at: Cursor) -> list[str]:
    return list(at.value) if isinstance(at.value, dict) else []


def _severity(extension: Cursor) -> str | None:
    """Return the severity that an emergency level says, in either of the nestings that were published."""
    for holder in (extension, *extension.each("extension")):
        concept = holder.at("valueCodeableConcept")
        for one in concept.each("coding") if concept is not None else []:
            system, code = one.text("system"), one.text("code")
            if system is not None and code is not None and (found := _severity_of(system, code)) is not None:
                return found
    return None


def _severity_of(system: str, code: str) -> str | None:
    """Return the severity of a level; the published example writes a colour of triage as an emergency level."""
    if not system.startswith(_LEVELS) or knows_severity(system, code):
        return severity_of(system, code)
    return severity_of(_TRIAGE, code)


def _own(issue: dict[str, Tree]) -> list[Tree]:
    own = issue.get("extension")
    return own if isinstance(own, list) else []
