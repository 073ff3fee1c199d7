"""An independent check of FHIR R4: the models of fhir.resources, imported only when first needed, and what those let pass."""

import datetime as dt
import decimal
import re
import typing
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import chain, islice
from typing import Any

from service_stubs.fhir_bundles import bundle_faults
from service_stubs.fhir_rules import code_fault, invariant_faults, resource_faults
from service_stubs.fhir_values import decoded_size, is_absolute, narrative_fault, text_fault
from service_stubs.problems import Fault

_MAX_FAULTS = 50


def structure_faults(resource: dict[str, Any]) -> list[Fault]:
    """Find what HL7's validator calls an error on base R4: structure, forms of values, codes, narratives, invariants."""
    model, faults = _read(resource)
    if model is None:
        return faults
    resource_type = str(resource["resourceType"])
    found = _faults_beyond_model(model, resource, _Place(resource_type, resource, resource, resource_type))
    return list(islice(chain(found, bundle_faults(resource) if resource_type == "Bundle" else ()), _MAX_FAULTS))


def model_faults(resource: dict[str, Any]) -> list[Fault]:
    """Find unknown elements, wrong cardinality, missing elements and wrong types: what the models of fhir.resources refuse."""
    return _read(resource)[1]


def _read(resource: dict[str, Any]) -> tuple[Any, list[Fault]]:
    """Return a resource as its model, or None and why there is none."""
    resource_type = str(resource.get("resourceType"))
    try:
        return _model_class(resource_type).model_validate(resource), []
    except LookupError:
        return None, [Fault("resourceType", "not a resource of FHIR R4")]
    except ValueError as error:
        return None, [_fault(resource_type, details) for details in _errors(error)][:_MAX_FAULTS]


@dataclass(frozen=True)
class _Place:
    """Where the check is: the path, the resource around it, the one around that, and the element by its owner's type."""

    path: str
    resource: dict[str, Any]
    root: dict[str, Any]
    element: str
    in_extension: bool = False

    def at(self, path: str, owner: str, name: str) -> "_Place":
        """Return the place of an element below."""
        stem = next((stem for stem in _CHOICES if name.startswith(stem) and name != stem), name)
        in_extension = owner == "Extension"
        return replace(self, path=path, element=f"{owner}.{stem}", in_extension=in_extension)

    def within(self, resource: dict[str, Any]) -> "_Place":
        """Return the place of a resource below: a contained one keeps the root, one of an entry is a root itself."""
        root = self.root if self.element.endswith(".contained") else resource
        return replace(self, resource=resource, root=root)


_LINK = re.compile(r"(?:https?://\S+/)?([A-Z][A-Za-z]+)/[A-Za-z0-9\-.]{1,64}(?:/_history/.*)?")
_SIMPLE_QUANTITIES = frozenset(
    {
        *("Range.low", "Range.high", "ObservationReferenceRange.low", "ObservationReferenceRange.high"),
        *("MedicationDispense.quantity", "MedicationDispense.daysSupply", "DosageDoseAndRate.doseQuantity"),
        *("MedicationAdministrationDosage.dose", "SampledData.origin"),
    }
)
_CHOICES = ("probability",)
"""Choices that an invariant is about as a whole."""


def _model_class(resource_type: str) -> Any:
    from fhir.resources.R4B import get_fhir_model_class  # noqa: PLC0415 - takes seconds and is not always needed

    return get_fhir_model_class(resource_type)


def _errors(error: ValueError) -> list[dict[str, Any]]:
    errors = getattr(error, "errors", None)
    return errors(include_url=False, include_input=False) if errors else [{"loc": (), "msg": "not valid FHIR R4"}]


def _fault(resource_type: str, details: dict[str, Any]) -> Fault:
    steps = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in details["loc"])
    return Fault(f"{resource_type}{steps}", str(details["msg"]))


def _faults_beyond_model(model: Any, tree: dict[str, Any], place: _Place) -> Iterator[Fault]:
    """Find what the models let pass."""
    owner = type(model).__name__
    if "resourceType" in tree:
        place = place.within(tree)
        yield from (Fault(place.path, text) for text in resource_faults(owner, tree, place.root))
    for key in (owner, place.element) if place.element != owner else (owner,):
        yield from (Fault(place.path, text) for text in invariant_faults(key, tree, place.resource, place.root))
    yield from (Fault(place.path, text) for text in _object_faults(owner, tree, place))
    for own, field in type(model).model_fields.items():
        name = field.alias or own
        if name not in tree:
            continue
        value, child = tree[name], getattr(model, own)
        for index, item in enumerate(value) if isinstance(value, list) else [(None, value)]:
            below = f"{place.path}.{name}" if index is None else f"{place.path}.{name}[{index}]"
            if text := code_fault(owner, name, item):
                yield Fault(below, text)
            if isinstance(item, dict):
                targets = (field.json_schema_extra or {}).get("enum_reference_types", ())
                yield from (Fault(below, text) for text in _reference_faults(item, targets, place))
            if isinstance(item, dict) and not name.startswith("_"):
                inner = child if index is None else child[index]
                yield from _faults_beyond_model(inner, item, place.at(below, owner, name))
            elif not isinstance(item, dict) and (message := _primitive_fault(field, name, item)):
                yield Fault(below, message)


def _reference_faults(reference: dict[str, Any], targets: Sequence[str], place: _Place) -> Iterator[str]:
    """Find a type that a reference says, or has by what it refers to, and that may not stand there."""
    link, said = str(reference.get("reference", "")), reference.get("type")
    inner = [one for one in place.root.get("contained", ()) if f"#{one.get('id')}" == link]
    named = _LINK.fullmatch(link)
    is_of = inner[0]["resourceType"] if inner else named[1] if named else None
    said = str(said).rpartition("/")[2] if said is not None else None
    for kind in {said, is_of if inner else None} - {None}:
        if targets and kind not in targets and "Resource" not in targets:
            yield f"must refer to {' or '.join(targets)}"
    if targets and None not in (said, is_of) and said != is_of:
        yield "says another type than that of what it refers to"


def _object_faults(owner: str, tree: dict[str, Any], place: _Place) -> Iterator[str]:
    """Find what no invariant says: URLs without a scheme, and what must be a URI by its system."""
    url, system = tree.get("url"), tree.get("system")
    if owner == "Extension" and not place.in_extension and not is_absolute(str(url)):
        yield "the url of an extension must be absolute"
    if owner in ("Coding", "Identifier") and isinstance(system, str) and not is_absolute(system):
        yield "the system must be absolute"
    if owner == "Identifier" and system == "urn:ietf:rfc:3986" and not is_absolute(str(tree.get("value", "urn:x"))):
        yield "the value must be a URI, as the system says"
    if owner == "Attachment" and "data" in tree and "size" in tree and tree["size"] != decoded_size(tree["data"]):
        yield "the size is not that of the data"
    inner = [one["id"] for one in tree.get("contained", ()) if isinstance(one, dict) and "id" in one]
    if len(inner) != len(set(inner)):
        yield "contained resources must be told apart by their ids"
    if place.element in _SIMPLE_QUANTITIES and "comparator" in tree:
        yield "a SimpleQuantity has no comparator (sqty-1)"
    if len(tree) == 1 and "id" in tree:
        yield "an element that says nothing (ele-1)"


def _primitive_fault(field: Any, name: str, value: Any) -> str | None:
    if value is None:
        return None
    if name == "div":
        return narrative_fault(str(value))
    json_types = _json_types(field.annotation)
    if json_types and (type(value) not in json_types):
        return f"must be a JSON {' or '.join(kind.__name__ for kind in json_types)}"
    return text_fault(_fhir_type(field.annotation), value) if isinstance(value, str) else None


@cache
def _fhir_type(annotation: Any) -> str:
    """Tell the FHIR type of a primitive by the mark that the models put on it."""
    while typing.get_origin(annotation) is not None:
        if typing.get_origin(annotation) is typing.Annotated:
            return type(annotation.__metadata__[-1]).__name__
        annotation = next(kind for kind in typing.get_args(annotation) if kind is not type(None))
    return ""


def _json_types(annotation: Any) -> tuple[type, ...]:
    """Tell the JSON types of a primitive FHIR element; empty if the models already see to it."""
    base = _innermost(annotation)
    if base is bool:
        return (bool,)
    if base is int:
        return (int,)
    if base is decimal.Decimal:
        return (int, float)
    if isinstance(base, type) and issubclass(base, dt.date | dt.time):
        return (str,)
    return ()


@cache
def _innermost(annotation: Any) -> Any:
    """Unwrap Optional, List and Annotated."""
    arguments = [argument for argument in typing.get_args(annotation) if argument is not type(None)]
    return _innermost(arguments[0]) if arguments else annotation
