"""The element tables against another reading of the standard, that of fhir.resources (R4B, which differs little from R4).

R4 (4.0.1) calls the `id` of a resource a string in its StructureDefinitions, R4B an id.
"""

import re
from collections.abc import Iterator

import pytest
from fhir.resources.R4B import get_fhir_model_class

from translators.fhir.elements import ANY_RESOURCE, ELEMENT, NUMERIC, r4

USED_BY_VKP = (
    "AllergyIntolerance",
    "Bundle",
    "CarePlan",
    "Communication",
    "Composition",
    "Condition",
    "DetectedIssue",
    "Device",
    "Encounter",
    "EpisodeOfCare",
    "Flag",
    "Location",
    "MedicationDispense",
    "MedicationStatement",
    "MessageHeader",
    "Observation",
    "OperationOutcome",
    "Organization",
    "Patient",
    "Practitioner",
    "QuestionnaireResponse",
    "RelatedPerson",
)
READ_OTHERWISE = {
    ("Extension", "valueCodeableReference"): ("-", "CodeableReference"),  # new in R4B
    ("Extension", "valueRatioRange"): ("-", "RatioRange"),  # new in R4B
    ("Extension", "valueMeta"): ("Meta", "-"),  # one of R4's open types; fhir.resources leaves it out
}
"""(type, element): what our table says and what fhir.resources says, where both are right."""
_COMPLEX = re.compile(r"([A-Za-z]+)Type\b")
_PRIMITIVE = re.compile(r"([A-Z][A-Za-z0-9]+)(\(| object)")
_OTHER_NAMES = {"bool | None": "boolean", "uuidVersion": "uuid", "encodedBytes": "base64Binary"}

Row = dict[str, str]


def _model_of(annotation: str) -> str | None:
    found = _COMPLEX.search(annotation)
    return found[1] if found else None


def _primitive_of(annotation: str) -> str:
    found = _PRIMITIVE.search(annotation)
    name = found[1] if found else annotation
    name = name[0].lower() + name[1:]
    return _OTHER_NAMES.get(name, name)


def _rows(ours: str, model: str, seen: dict[str, tuple[Row, Row]]) -> None:
    """Compare a type and, below it, every type it uses."""
    if ours in seen:
        return
    mine = {
        name: element.type + "*" * element.repeats
        for name, element in r4().types[ours].items()
        if name != "resourceType" and not name.startswith("_")
    }
    theirs: Row = {}
    seen[ours] = (mine, theirs)
    for field in get_fhir_model_class(model).model_fields.values():
        name, annotation = str(field.alias), str(field.annotation)
        if name in ("resource_type", "resourceType", "fhir_comments") or name.startswith("_"):
            continue
        repeats = "*" * ("List[" in annotation or "list[" in annotation)
        below = _model_of(annotation)
        element = r4().types[ours].get(name)
        if below is None:
            theirs[name] = _primitive_of(annotation) + repeats
        elif element is None or element.primitive:
            theirs[name] = below + repeats
        elif element.type.replace(".", "").lower() == below.lower():
            theirs[name] = element.type + repeats
            if element.type != ANY_RESOURCE:
                _rows(element.type, below, seen)
        else:
            theirs[name] = below + repeats


def _differences(kind: str) -> Iterator[str]:
    seen: dict[str, tuple[Row, Row]] = {}
    _rows(kind, kind, seen)
    for name, (mine, theirs) in seen.items():
        for element in mine | theirs:
            said = (mine.get(element, "-"), theirs.get(element, "-"))
            is_id_of_resource = name in r4().resources and element == "id" and said == ("string", "id")
            if said[0] != said[1] and READ_OTHERWISE.get((name, element)) != said and not is_id_of_resource:
                yield f"{name}.{element}: {said}"


@pytest.mark.parametrize("kind", USED_BY_VKP)
def test_a_type_has_the_elements_that_another_reading_of_the_standard_has(kind: str) -> None:
    """Name, type and repetition agree for the resource and every type below it, save for what R4B changed."""
    assert list(_differences(kind)) == []


def test_every_type_that_an_element_names_is_in_the_table() -> None:
    """No element leads to a type that the reader does not know."""
    types = r4().types
    named = {element.type for row in types.values() for element in row.values() if not element.primitive}
    assert named <= set(types)


def test_a_resource_names_its_type_and_a_data_type_does_not() -> None:
    """`resourceType` is an element of resources alone, but for the one type that has an element of that name."""
    with_type = {name for name, row in r4().types.items() if "resourceType" in row}
    assert with_type == r4().resources | {"ExampleScenario.instance"}
    assert {"Bundle", "DetectedIssue", "Parameters", "Binary"} <= with_type
    assert not with_type & {"Resource", "DomainResource", "Coding", "Bundle.entry"}


def test_every_primitive_has_a_sibling_that_repeats_as_it_does_and_nothing_else_has_one() -> None:
    """`_name` holds id and extensions of the primitive `name`, and only of a primitive."""
    for kind, row in r4().types.items():
        siblings = {name[1:]: element for name, element in row.items() if name.startswith("_")}
        primitives = {name for name, element in row.items() if element.primitive}
        if kind in r4().resources:
            primitives.remove("resourceType")
        assert set(siblings) == primitives
        assert all(sibling.type == ELEMENT for sibling in siblings.values())
        assert all(sibling.repeats == row[name].repeats for name, sibling in siblings.items())


def test_an_element_that_is_one_text_is_neither_number_nor_truth_value_nor_list() -> None:
    """The short way of the reader is open only to elements whose one form is a JSON string."""
    for row in r4().types.values():
        for element in row.values():
            if element.is_text:
                assert element.primitive
                assert not element.repeats
                assert element.type not in NUMERIC | {"boolean"}
