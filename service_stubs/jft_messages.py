"""What JFT checks of a message besides its FHIR structure: strict JSON, form of the Bundle, patient numbers."""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal, NamedTuple

from service_stubs.national_numbers import DNR, FNR, SYSTEMS, Kind, kind_of
from service_stubs.problems import Fault, ProblemError

Environment = Literal["test", "production"]
Numbers = Literal["patient", "everywhere"]
"""Whose national numbers are looked at; NHN documents that each submission is checked, and not whose numbers in it."""

_POPULATIONS: dict[Environment, Kind] = {"test": Kind.SYNTHETIC, "production": Kind.REAL}
_TIME_ELEMENTS = frozenset({"date", "issued", "lastUpdated", "timestamp", "start", "end", "recorded", "authored"})
_TIME_SUFFIXES = ("DateTime", "Instant", "HandedOver", "Prepared")
_TIME_WITHOUT_OFFSET = re.compile(r"\d{4}-\d{2}-\d{2}T[0-9:.]*")


def parse(body: bytes) -> dict[str, Any]:
    """Read strict JSON: UTF-8, no duplicate keys, no NaN, no lone surrogates."""
    try:
        text = body.decode()
        value = json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse_constant)
        if "\\u" in text:
            json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else _reason(error)
        raise ProblemError(400, "The body is not valid JSON.", [Fault("", reason)]) from error
    if not isinstance(value, dict):
        raise ProblemError(400, "The body is not a JSON object.")
    return value


def faults_in(
    resource: dict[str, Any], resource_type: str, environment: Environment, numbers: Numbers = "patient"
) -> list[Fault]:
    """Find what JFT refuses whatever the FHIR structure says."""
    if resource.get("resourceType") != resource_type:
        return [Fault("resourceType", f"must be {resource_type}")]
    nodes = list(_nodes(resource, resource_type))
    if faults := [fault for node in nodes for fault in _empty_faults(node)]:
        return faults
    return [
        *(_bundle_faults(resource) if resource_type == "Bundle" else []),
        *(Fault(node.path, "a time needs an offset") for node in nodes if _lacks_offset(node)),
        *_number_faults(nodes, environment, numbers),
    ]


class _Node(NamedTuple):
    """A value in a message; an array's items have the array's name."""

    path: str
    name: str
    value: Any


def _nodes(resource: dict[str, Any], resource_type: str) -> Iterator[_Node]:
    """Go through the resource and everything in it, in the order of the text."""
    stack = [_Node(resource_type, "", resource)]
    while stack:
        node = stack.pop()
        yield node
        if isinstance(node.value, dict):
            children = [_Node(f"{node.path}.{name}", name, _without_fillers(node.value, name)) for name in node.value]
        elif isinstance(node.value, list):
            children = [_Node(f"{node.path}[{index}]", node.name, child) for index, child in enumerate(node.value)]
        else:
            continue
        stack.extend(reversed(children))


def _without_fillers(owner: dict[str, Any], name: str) -> Any:
    """Return an element without the nulls that fill the places of what its sibling says (FHIR R4, json.html#primitive)."""
    value, other = owner[name], owner.get(name[1:] if name.startswith("_") else f"_{name}")
    if not isinstance(value, list) or not isinstance(other, list):
        return value
    return [item for at, item in enumerate(value) if item is not None or other[at : at + 1] in ([], [None])]


def _empty_faults(node: _Node) -> Sequence[Fault]:
    """Find what FHIR's JSON representation forbids."""
    if node.value is None:
        return [Fault(node.path, "null is not allowed")]
    if (isinstance(node.value, str) and not node.value.strip()) or node.value in ([], {}):
        return [Fault(node.path, "empty values are not allowed")]
    return ()


def _lacks_offset(node: _Node) -> bool:
    """Tell whether this is a time without the time zone that FHIR R4 demands of a dateTime that has a time."""
    is_time = node.name in _TIME_ELEMENTS or node.name.endswith(_TIME_SUFFIXES)
    return is_time and isinstance(node.value, str) and _TIME_WITHOUT_OFFSET.fullmatch(node.value) is not None


def _bundle_faults(bundle: dict[str, Any]) -> list[Fault]:
    entries = bundle.get("entry")
    if bundle.get("type") not in {"document", "transaction"}:
        return [Fault("Bundle.type", "must be document or transaction")]
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        return [Fault("Bundle.entry", "must be an array of entries")]
    if bundle["type"] == "transaction":
        return _faults_of_each(entries, "request", wanted=True)
    return [*_document_faults(bundle, entries), *_faults_of_each(entries, "request", wanted=False)]


def _document_faults(bundle: dict[str, Any], entries: Sequence[dict[str, Any]]) -> Iterable[Fault]:
    """Invariants bdl-9, bdl-10 and bdl-11 of FHIR R4."""
    if not isinstance(bundle.get("identifier"), dict) or not {"system", "value"} <= bundle["identifier"].keys():
        yield Fault("Bundle.identifier", "a document needs an identifier with system and value")
    if "timestamp" not in bundle:
        yield Fault("Bundle.timestamp", "a document needs a timestamp")
    first = entries[0].get("resource")
    if not isinstance(first, dict) or first.get("resourceType") != "Composition":
        yield Fault("Bundle.entry[0]", "a document starts with a Composition")


def _faults_of_each(entries: Sequence[dict[str, Any]], name: str, *, wanted: bool) -> list[Fault]:
    """Invariant bdl-3 of FHIR R4: entries of a transaction have a request, others have none."""
    message = "is missing" if wanted else "is not allowed here"
    return [
        Fault(f"Bundle.entry[{index}].{name}", message)
        for index, entry in enumerate(entries)
        if (name in entry) is not wanted
    ]


def _number_faults(nodes: Sequence[_Node], environment: Environment, numbers: Numbers) -> list[Fault]:
    """Find numbers of the wrong kind, by which JFT keeps test and production data apart."""
    identifiers = [
        (f"{node.path}.identifier", identifier)
        for node in nodes
        if _is_patient(node)
        for identifier in _identifiers(node.value)
        if identifier.get("system") in SYSTEMS
    ]
    if not identifiers:
        return [Fault("", "no patient is identified by a national number")]
    if numbers == "everywhere":
        identifiers = [(node.path, node.value) for node in nodes if _is_national(node.value)]
    judged = [(path, _number_fault(identifier, environment)) for path, identifier in identifiers]
    return [Fault(path, message) for path, message in judged if message]


def _number_fault(identifier: dict[str, Any], environment: Environment) -> str | None:
    if identifier["system"] not in {FNR, DNR}:
        return None if environment == "test" else "a help number is nobody's national number"
    kind = kind_of(str(identifier.get("value")))
    if kind is None:
        return "not a valid national number"
    return None if kind is _POPULATIONS[environment] else f"a {kind.value} number is not allowed in {environment}"


def _is_patient(node: _Node) -> bool:
    return isinstance(node.value, dict) and (
        node.name in {"subject", "patient"} or node.value.get("resourceType") == "Patient"
    )


def _is_national(value: Any) -> bool:
    return isinstance(value, dict) and value.get("system") in SYSTEMS and "value" in value


def _identifiers(patient: dict[str, Any]) -> list[dict[str, Any]]:
    found = patient.get("identifier")
    return [
        identifier for identifier in (found if isinstance(found, list) else [found]) if isinstance(identifier, dict)
    ]


def _unique(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("duplicate key")
    return result


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _reason(error: ValueError) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} at line {error.lineno} column {error.colno}"
    return "not UTF-8" if isinstance(error, UnicodeError) else str(error)
