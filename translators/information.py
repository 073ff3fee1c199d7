"""The information type of a journaling message, alike on every surface and decided before anything is repaired."""

from collections.abc import Iterator

from translators.contract import InformationName, Number, Tree

ALERT_CODES = "http://ehelse.no/fhir/CodeSystem/vkp-alert-code-v090"
_ALERT_SYSTEMS = frozenset({ALERT_CODES, "http://ehelse.no/fhir/ValueSet/vkp-alert-code-v090", ""})
_QUESTIONNAIRE_SCORE = "74465-6"
_LOINC = frozenset({"http://loinc.org", "https://loinc.org", ""})
_MAX_ENTRIES = 10_000


def information_of(tree: Tree) -> InformationName | None:
    """Return what the message is about; the first rule that matches decides, None when none does."""
    resources = list(_resources(tree))
    kinds = {kind for kind, _ in resources}
    alerts = {
        code for kind, resource in resources if kind in ("DetectedIssue", "Flag") for code in _alert_codes(resource)
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
    kind = tree.get("resourceType")
    if isinstance(kind, str):
        yield kind.strip(), tree
    if kind == "Bundle":
        for entry in _each(tree.get("entry"))[:_MAX_ENTRIES]:
            for resource in _each(entry.get("resource") if isinstance(entry, dict) else None):
                inner = resource.get("resourceType") if isinstance(resource, dict) else None
                if isinstance(resource, dict) and isinstance(inner, str):
                    yield inner.strip(), resource


def _alert_codes(resource: dict[str, Tree]) -> Iterator[str]:
    return _codes(resource, _ALERT_SYSTEMS)


def _is_questionnaire_score(observation: dict[str, Tree]) -> bool:
    return _QUESTIONNAIRE_SCORE in _codes(observation, _LOINC)


def _codes(resource: dict[str, Tree], systems: frozenset[str]) -> Iterator[str]:
    """Go through `code.coding[].code` of these systems; a coding without a system counts (seen in published messages)."""
    for concept in _each(resource.get("code")):
        for coding in _each(concept.get("coding") if isinstance(concept, dict) else None):
            if isinstance(coding, dict) and _text(coding.get("system")) in systems:
                yield _text(coding.get("code"))


def _text(value: Tree) -> str:
    """Return a value as the text that repairs make of it; "" for what is no text."""
    one = value[0] if isinstance(value, list) and len(value) == 1 else value
    if isinstance(one, Number):
        return one.text
    return one.strip() if isinstance(one, str) else ""


def _each(value: Tree) -> list[Tree]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]
