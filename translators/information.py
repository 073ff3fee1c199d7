"""The information type of a journaling message, alike on every surface and decided before anything is repaired."""

from collections.abc import Iterator

from translators.contract import InformationName, Number, RenumberedText, Tree
from translators.made import plain
from translators.payload import is_msghead, payload_of
from translators.terminology import ALERT, FLAG, History, Renumbered, read_code


def _both(url: str) -> frozenset[str]:
    """Return the URL of a code system with that of its value set, which senders write for it."""
    return frozenset({url, url.replace("/CodeSystem/", "/ValueSet/")})


_ALERT_SYSTEMS = _both(ALERT) | {""}
_FLAG_SYSTEMS = _both(FLAG)
_QUESTIONNAIRE_SCORE = "74465-6"
_LOINC = frozenset({"http://loinc.org", "https://loinc.org", ""})
_MAX_ENTRIES = 10_000
_NOTE = "Dialogmelding"


def information_of(tree: Tree, history: History = ()) -> InformationName | None:
    """Return what the message is about; the first rule that matches decides, None when none does.

    `history` names the tables that the sender's alert codes are of, where it is known: what they mean decides.
    """
    if is_msghead(tree):
        name, tree = payload_of(tree)
        if name == _NOTE:
            return "notat"
    resources = list(_resources(tree))
    kinds = {kind for kind, _ in resources}
    alerts = {
        code
        for kind, resource in resources
        if kind in ("DetectedIssue", "Flag")
        for concept in _each(resource.get("code"))
        for code in _alerts(concept, history)
    }
    scores = [_is_questionnaire_score(resource) for kind, resource in resources if kind == "Observation"]
    rules: tuple[tuple[bool, InformationName], ...] = (
        ("MedicationDispense" in kinds or any(code == "1" or code.startswith("1.") for code in alerts), "medisinering"),
        ("QuestionnaireResponse" in kinds or any(scores) or bool(alerts & {"5.2.2", "5.3.1"}), "skjemabesvarelse"),
        (bool(scores) or bool(alerts & {"5.2.1", "5.3.2"}), "maledata"),
        (bool(kinds & {"DetectedIssue", "Flag"}), "varsel"),
        ("Encounter" in kinds, "tilsyn"),
        (bool(kinds & {"Composition", "Communication"}), "notat"),
    )
    return next((name for matches, name in rules if matches), None)


def _resources(tree: Tree) -> Iterator[tuple[str, dict[str, Tree]]]:
    """Go through the resource, or the resources of a Bundle; objects where arrays belong are tolerated as VKP does."""
    if not isinstance(tree, dict):
        return
    kind = plain(tree.get("resourceType"))
    if isinstance(kind, str):
        yield kind.strip(), tree
    if kind == "Bundle":
        for entry in _each(tree.get("entry"))[:_MAX_ENTRIES]:
            for resource in _each(entry.get("resource") if isinstance(entry, dict) else None):
                inner = plain(resource.get("resourceType")) if isinstance(resource, dict) else None
                if isinstance(resource, dict) and isinstance(inner, str):
                    yield inner.strip(), resource


def _alerts(concept: Tree, history: History) -> list[str]:
    """Return the alerts that a concept names, as codes of today.

    A code of vkp-flag-code-v090 is an alert too, unless the concept names one beside it.
    """
    alerts = [_today(ALERT, coding, history) for coding in _codings(concept, _ALERT_SYSTEMS)]
    return alerts or [_today(FLAG, coding, history) for coding in _codings(concept, _FLAG_SYSTEMS)]


def _today(url: str, coding: dict[str, Tree], history: History) -> str:
    """Return the alert that a code is today; as written where it stands, has no system, or is of no alert."""
    code = coding.get("code")
    written = _text(code)
    if isinstance(code, RenumberedText) or not _text(coding.get("system")):
        return written
    found = read_code(url, written, history)
    if isinstance(found, Renumbered):
        return (found.code if found.system == ALERT else None) or ""
    return written if url == ALERT else ""


def _is_questionnaire_score(observation: dict[str, Tree]) -> bool:
    codings = [coding for concept in _each(observation.get("code")) for coding in _codings(concept, _LOINC)]
    return any(_text(coding.get("code")) == _QUESTIONNAIRE_SCORE for coding in codings)


def _codings(concept: Tree, systems: frozenset[str]) -> Iterator[dict[str, Tree]]:
    """Go through the codings of these systems; one without a system counts (seen in published messages)."""
    for coding in _each(concept.get("coding") if isinstance(concept, dict) else None):
        if isinstance(coding, dict) and _text(coding.get("system")) in systems:
            yield coding


def _text(value: Tree) -> str:
    """Return a value as the text that repairs make of it; "" for what is no text."""
    found = plain(value)
    one = found[0] if isinstance(found, list) and len(found) == 1 else found
    if isinstance(one, Number):
        return one.text
    return one.strip() if isinstance(one, str) else ""


def _each(value: Tree) -> list[Tree]:
    found = plain(value)
    if found is None:
        return []
    return [plain(one) for one in found] if isinstance(found, list) else [found]
