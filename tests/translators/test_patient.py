"""Which elements identify the patient, and that nobody else's number is looked at or told."""

from itertools import permutations
from typing import Any

import pytest

from translators.contract import Reason, Refused, Tree
from translators.national_number import PRODUCTION_KINDS, TEST_KINDS, Kind
from translators.patient import check_patient, identifiers_of, resolve

FNR = "urn:oid:2.16.578.1.12.4.1.4.1"
RIGHT, WRONG = "12834010060", "12834010061"


def _reference(value: Tree = RIGHT, system: Tree = FNR) -> Tree:
    return {"identifier": {"system": system, "value": value}}


def _bundle(*resources: Tree) -> dict[str, Tree]:
    return {"resourceType": "Bundle", "entry": [{"resource": resource} for resource in resources]}


def _refusal(resource: dict[str, Tree], allowed: frozenset[str] = TEST_KINDS) -> Refused:
    with pytest.raises(Refused) as caught:
        check_patient(resource, allowed)
    assert caught.value.reason in (Reason.PATIENT, Reason.UNKNOWN_PATIENT)
    return caught.value


@pytest.mark.parametrize(
    ("resource", "path"),
    [
        ({"resourceType": "Observation", "subject": _reference()}, "Observation.subject.identifier.value"),
        ({"resourceType": "DetectedIssue", "patient": _reference()}, "DetectedIssue.patient.identifier.value"),
        ({"resourceType": "Patient", "identifier": [{"system": FNR, "value": RIGHT}]}, "Patient.identifier.value"),
        (
            {
                "resourceType": "Flag",
                "contained": [{"resourceType": "Patient", "identifier": [{"system": FNR, "value": RIGHT}]}],
            },
            "Flag.contained[0].identifier.value",
        ),
        ({"resourceType": "Account", "subject": [_reference(), _reference()]}, "Account.subject.identifier.value"),
        ({"resourceType": "Task", "for": _reference()}, "Task.for.identifier.value"),
        ({"resourceType": "Coverage", "beneficiary": _reference()}, "Coverage.beneficiary.identifier.value"),
        (
            _bundle({"resourceType": "Device"}, {"resourceType": "Flag", "subject": _reference()}),
            "Bundle.entry[1].resource.subject.identifier.value",
        ),
    ],
)
def test_an_element_that_identifies_a_patient_is_found(resource: dict[str, Tree], path: str) -> None:
    """Subject, patient and Patient resources, in a Bundle, contained or alone: the path of a wrong number tells."""
    check_patient(resource, TEST_KINDS)
    assert _refusal(resource, PRODUCTION_KINDS).path == path


@pytest.mark.parametrize(
    "name", ["author", "performer", "asserter", "recorder", "source", "sender", "individual", "owner"]
)
def test_the_number_of_somebody_else_is_not_looked_at(name: str) -> None:
    """Authors and performers are people too: their wrong or real numbers are none of our business."""
    resource: dict[str, Tree] = {"resourceType": "Composition", "subject": _reference(), name: [_reference(WRONG)]}
    check_patient(resource, TEST_KINDS)


@pytest.mark.parametrize("kind", ["Practitioner", "RelatedPerson", "Person", "Device"])
def test_the_number_of_a_resource_that_is_no_patient_is_not_looked_at(kind: str) -> None:
    """Only a Patient resource is one."""
    other: Tree = {"resourceType": kind, "identifier": [{"system": FNR, "value": WRONG}]}
    check_patient(_bundle({"resourceType": "Flag", "subject": _reference()}, other), TEST_KINDS)


def test_one_wrong_number_among_right_ones_is_refused_at_its_place() -> None:
    """Each resource that names a patient has to name one rightly."""
    flag: Tree = {"resourceType": "Flag", "subject": _reference()}
    issue: Tree = {"resourceType": "DetectedIssue", "patient": _reference(WRONG)}
    refusal = _refusal(_bundle(flag, issue))
    assert refusal.path == "Bundle.entry[1].resource.patient.identifier.value"
    assert refusal.text == "not a valid national identity number"


@pytest.mark.parametrize("system", [FNR, "urn:oid:2.16.578.1.12.4.1.4.2", "urn:oid:2.16.578.1.12.4.1.4.3"])
def test_each_national_system_is_checked(system: str) -> None:
    """Fødselsnummer, D-nummer and felles hjelpenummer."""
    assert _refusal({"resourceType": "Flag", "subject": _reference(WRONG, system)}).text.startswith("not a valid")


def test_a_number_of_a_record_system_is_not_enough() -> None:
    """JFT needs a national number; the text says what there is instead."""
    refusal = _refusal({"resourceType": "Flag", "subject": _reference("4711", "http://record.example/no")})
    assert (refusal.reason, refusal.path) == (Reason.UNKNOWN_PATIENT, "Flag.subject.identifier.value")
    assert (
        refusal.text == "the patient has only a number of the record system's own; a national identity number is needed"
    )


@pytest.mark.parametrize(
    "resource",
    [
        {"resourceType": "Flag"},
        {"resourceType": "Flag", "subject": "x", "patient": [None], "contained": ["x"]},
        {"resourceType": "Bundle", "entry": ["x", {}, {"resource": "x"}]},
        {"resourceType": "Patient", "identifier": ["x", None]},
        {},
    ],
)
def test_a_message_about_nobody_is_refused_without_a_place(resource: dict[str, Tree]) -> None:
    """There is no element to point at."""
    refusal = _refusal(resource)
    assert (refusal.path, refusal.text) == (None, "no patient is identified; a national identity number is needed")


@pytest.mark.parametrize(
    "subject", [{"display": "Kari"}, {"identifier": {"system": FNR}}, {"reference": "Patient/9"}, {"reference": "#p"}]
)
def test_a_place_that_names_nobody_is_refused_there(subject: Tree) -> None:
    """A number elsewhere in the message does not say whom this resource is about."""
    note: Tree = {"resourceType": "Composition", "subject": subject}
    refusal = _refusal(_bundle({"resourceType": "Flag", "subject": _reference()}, note))
    assert refusal.path == "Bundle.entry[1].resource.subject"


def test_a_reference_to_a_patient_of_the_message_is_enough() -> None:
    """By the entry's URL, or by the id of what the resource contains."""
    patient: Tree = {"resourceType": "Patient", "id": "p", "identifier": [{"system": FNR, "value": RIGHT}]}
    linked: dict[str, Tree] = {
        "resourceType": "Bundle",
        "entry": [
            {"fullUrl": "urn:uuid:1", "resource": patient},
            {"resource": {"resourceType": "Flag", "subject": {"reference": "urn:uuid:1"}}},
            {"resource": {"resourceType": "Flag", "contained": [patient], "subject": {"reference": "#p"}}},
        ],
    }
    check_patient(linked, TEST_KINDS)


@pytest.mark.parametrize("identifier", [[], [{"system": "https://epj.example/id", "value": "7"}]])
def test_the_number_of_one_patient_is_not_that_of_another_one_of_the_message(identifier: Tree) -> None:
    """A note about a Patient without a national number is about nobody known, whoever has one."""
    unknown: Tree = {"resourceType": "Patient", "name": [{"family": "Berg"}], "identifier": identifier}
    known: Tree = {"resourceType": "Patient", "identifier": [{"system": FNR, "value": RIGHT}]}
    note: Tree = {"resourceType": "Composition", "subject": {"reference": "urn:uuid:1"}}
    refusal = _refusal(_linked(note, unknown, known))
    assert (refusal.path, refusal.reason) == (
        "Bundle.entry[0].resource.subject",
        Reason.UNKNOWN_PATIENT if identifier else Reason.PATIENT,
    )
    contained: Tree = {
        "resourceType": "DetectedIssue",
        "patient": {"reference": "#p"},
        "contained": [{"resourceType": "Patient", "id": "p", "identifier": identifier}],
    }
    about_known: Tree = {"resourceType": "Composition", "subject": {"reference": "urn:uuid:2"}}
    assert _refusal(_linked(about_known, contained, known)).path == "Bundle.entry[1].resource.patient"


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_link_that_leads_to_two_patients_may_mean_the_one_without_a_number(order: tuple[int, int]) -> None:
    """Of two systems, each of which counts its patients by itself."""
    numbers: tuple[Tree, Tree] = ([], [{"system": FNR, "value": RIGHT}])
    entries: list[Tree] = [
        {
            "fullUrl": f"https://{name}.example/Patient/1",
            "resource": {"resourceType": "Patient", "id": "1", "identifier": numbers[place]},
        }
        for name, place in zip("ab", order, strict=True)
    ]
    note: Tree = {"resourceType": "Composition", "subject": {"reference": "Patient/1"}}
    refusal = _refusal({"resourceType": "Bundle", "entry": [{"resource": note}, *entries]})
    assert refusal.path == "Bundle.entry[0].resource.subject"


def test_a_number_beside_a_reference_is_that_of_the_patient_it_leads_to() -> None:
    """Also for the resources that refer to the Patient alone; one that nothing is about needs none."""
    patient: Tree = {"resourceType": "Patient", "name": [{"family": "Berg"}]}
    link: dict[str, Tree] = {"reference": "urn:uuid:2"}
    alert: Tree = {"resourceType": "DetectedIssue", "patient": link}
    note: dict[str, Tree] = {
        "resourceType": "Composition",
        "subject": {"identifier": {"system": FNR, "value": RIGHT}, **link},
    }
    assert check_patient(_linked(alert, note, patient), TEST_KINDS) == (RIGHT,)
    assert check_patient(_linked({**note, "subject": _reference()}, patient), TEST_KINDS) == (RIGHT,)


def _linked(*resources: Tree) -> dict[str, Tree]:
    entries: list[Tree] = [
        {"fullUrl": f"urn:uuid:{index}", "resource": resource} for index, resource in enumerate(resources)
    ]
    return {"resourceType": "Bundle", "entry": entries}


@pytest.mark.parametrize(("kind", "name"), [("Task", "for"), ("Coverage", "beneficiary")])
def test_whom_something_is_for_is_the_patient_of_the_message(kind: str, name: str) -> None:
    """Another person is refused; who is named without a national number may be anybody, such as an organisation."""
    about = {"resourceType": "Observation", "subject": _reference()}
    check_patient(_bundle(about, {"resourceType": kind, name: _reference()}), TEST_KINDS)
    check_patient(_bundle(about, {"resourceType": kind, name: {"reference": "Organization/1"}}), TEST_KINDS)
    refused = _refusal(_bundle(about, {"resourceType": kind, name: _reference("30714510106")}))
    assert refused.path == f"Bundle.entry[1].resource.{name}.identifier.value"
    assert "patient" in refused.text


@pytest.mark.parametrize(
    ("resource", "path"),
    [
        ({"resourceType": "Observation", "focus": [{}, "it"]}, "focus[1]"),
        ({"resourceType": "Composition", "section": [{}, {"focus": "it"}]}, "section[1].focus"),
        (
            {"resourceType": "Composition", "section": [{"section": [{"focus": "it"}]}]},
            "section[0].section[0].focus",
        ),
        ({"resourceType": "Group", "member": [{"entity": "it"}]}, "member[0].entity"),
        (
            {"resourceType": "Appointment", "participant": [{"status": "accepted"}, {"actor": "it"}]},
            "participant[1].actor",
        ),
    ],
)
@pytest.mark.parametrize("named", [{"type": "Patient"}, {"reference": "https://epj.example/fhir/Patient/7"}])
def test_no_other_patient_stands_among_what_a_message_is_about(
    resource: dict[str, Tree], path: str, named: dict[str, Tree]
) -> None:
    """What is looked at, a member and a participant may be the patient, or no patient at all."""
    about = {"resourceType": "Observation", "subject": _reference()}
    check_patient(_bundle(about, _with(resource, _named(RIGHT, named))), TEST_KINDS)
    check_patient(_bundle(about, _with(resource, {"reference": "Device/1"})), TEST_KINDS)
    refused = _refusal(_bundle(about, _with(resource, _named("30714510106", named))))
    assert refused.path == f"Bundle.entry[1].resource.{path}.identifier.value"
    assert "another patient" in refused.text


@pytest.mark.parametrize("kind", ["Practitioner", "RelatedPerson"])
def test_a_person_who_takes_part_is_no_other_patient(kind: str) -> None:
    """A nurse, or one of the family, has a national number too."""
    actor = _named("30714510106", {"type": kind})
    appointment: Tree = {"resourceType": "Appointment", "participant": [{"actor": actor}]}
    check_patient(_bundle({"resourceType": "Observation", "subject": _reference()}, appointment), TEST_KINDS)


def _named(number: str, more: dict[str, Tree]) -> Tree:
    return {"identifier": {"system": FNR, "value": number}, **more}


def _with(value: Tree, reference: Tree) -> Any:
    """Return a resource with a reference in place of "it"."""
    if isinstance(value, dict):
        return {key: _with(below, reference) for key, below in value.items()}
    if isinstance(value, list):
        return [_with(one, reference) for one in value]
    return reference if value == "it" else value


def test_numbers_of_two_people_are_refused_and_two_of_one_are_not() -> None:
    """What a Patient resource holds together is one person; anything else is another."""
    one: Tree = {"resourceType": "Flag", "subject": _reference()}
    other: Tree = {"resourceType": "DetectedIssue", "patient": _reference("30714510106")}
    assert _refusal(_bundle(one, other)).path == "Bundle.entry[1].resource.patient.identifier.value"
    both: Tree = {
        "resourceType": "Patient",
        "identifier": [{"system": FNR, "value": RIGHT}, {"system": FNR, "value": "30714510106"}],
    }
    for resources in permutations([one, other, both]):
        assert check_patient(_bundle(*resources), TEST_KINDS) == (RIGHT, "30714510106")


@pytest.mark.parametrize("order", list(permutations(["81234510053", "52834010054", RIGHT])))
def test_numbers_of_one_patient_stand_in_an_order_of_their_own(order: tuple[str, ...]) -> None:
    """The fødselsnummer first, then the D-number, then the felles hjelpenummer, however the message has them."""
    identifiers: list[Tree] = [{"system": FNR, "value": number} for number in order]
    patient: dict[str, Tree] = {"resourceType": "Patient", "identifier": identifiers}
    allowed = TEST_KINDS | PRODUCTION_KINDS | {Kind.FH}
    assert check_patient(patient, allowed) == (RIGHT, "52834010054", "81234510053")


@pytest.mark.parametrize("old", [RIGHT, "52834010054"])
def test_a_number_in_use_stands_before_an_old_one(old: str) -> None:
    """What is made of the message is about the number of today; one that is in use anywhere is no old one."""
    identifiers: list[Tree] = [
        {"system": FNR, "value": number, **({"use": "old"} if number == old else {})}
        for number in (RIGHT, "52834010054")
    ]
    patient: dict[str, Tree] = {"resourceType": "Patient", "identifier": identifiers}
    assert check_patient(patient, TEST_KINDS | PRODUCTION_KINDS)[1] == old
    both = _bundle(patient, {"resourceType": "Flag", "subject": _reference(old)})
    assert check_patient(both, TEST_KINDS | PRODUCTION_KINDS) == (RIGHT, "52834010054")


@pytest.mark.parametrize("kind", ["Bundle", "Parameters"])
def test_a_message_within_a_message_is_refused(kind: str) -> None:
    """Nobody would look whom it is about."""
    with pytest.raises(Refused) as caught:
        check_patient(_bundle({"resourceType": "Flag", "subject": _reference()}, {"resourceType": kind}), TEST_KINDS)
    assert caught.value.reason is Reason.FORMAT


@pytest.mark.parametrize(
    ("number", "allowed", "kind"),
    [
        ("12834010060", PRODUCTION_KINDS, "plus-80"),
        ("30714510106", PRODUCTION_KINDS, "plus-65"),
        ("01020310045", TEST_KINDS, "ordinary"),
        ("81234510053", TEST_KINDS, "fh"),
    ],
)
def test_a_number_of_the_wrong_kind_for_the_environment_is_refused(
    number: str, allowed: frozenset[str], kind: str
) -> None:
    """No synthetic patient reaches production, and no real one a test service."""
    refusal = _refusal({"resourceType": "Flag", "subject": _reference(number)}, allowed)
    assert refusal.text == f"a number of the series {kind} is not for this environment"


@pytest.mark.parametrize("value", [WRONG, "30714510106", "01020310045", "Kari Nordmann", " 12834010060"])
def test_no_text_holds_the_number(value: str) -> None:
    """A refusal goes into logs and answers."""
    refusal = _refusal({"resourceType": "Flag", "subject": _reference(value)}, frozenset())
    assert value.strip() not in f"{refusal} {refusal.text} {refusal.path}"


@pytest.mark.parametrize(
    ("more", "is_resolved"),
    [
        ({}, True),
        ({"use": "old"}, False),
        ({"period": {"end": "2026-10-31"}}, False),
        ({"period": {"start": "2026-12-01T00:00:00+01:00"}}, False),
        ({"period": {"start": "2020", "end": "2026-11-30"}}, True),
    ],
)
def test_only_a_number_in_use_is_resolved(more: dict[str, Tree], *, is_resolved: bool) -> None:
    """The record system may have given one of earlier days to somebody else since."""
    local: dict[str, Tree] = {"system": "https://epj.example/id", "value": "7", **more}
    message: dict[str, Tree] = {"resourceType": "Flag", "subject": {"identifier": local}}
    resolve(message, {("https://epj.example/id", "7"): RIGHT}, "2026-11-30T09:00:00.000+00:00")
    assert (local["value"] == RIGHT) is is_resolved


@pytest.mark.parametrize("odd", [None, 1, [], ["x"], {}, {"x": "y"}], ids=str)
def test_system_that_is_no_text_names_nobody(odd: Tree) -> None:
    """What it is instead is refused later, by its path."""
    tree: Tree = {"subject": [{"system": odd, "value": "1"}, {"system": "http://numbers.example", "value": "2"}]}
    assert identifiers_of(tree, {"http://numbers.example": "vkp"}) == {("http://numbers.example", "2")}


def _in_transaction(search: str) -> dict[str, Tree]:
    request: Tree = {"method": "POST", "url": "Patient", "ifNoneExist": search}
    held: Tree = {"resourceType": "Patient", "identifier": [{"system": FNR, "value": RIGHT}]}
    return {"resourceType": "Bundle", "type": "transaction", "entry": [{"resource": held, "request": request}]}


@pytest.mark.parametrize(
    ("query", "is_refused"),
    [
        (f"identifier={FNR}|30714510343", True),
        ("identifier=urn%3Aoid%3A2.16.578.1.12.4.1.4.1%7C30714510343&active=true", True),
        ("active=true&identifier=30714510343", True),
        (f"identifier={FNR}|{RIGHT},{FNR}|30714510343", True),
        (f"identifier={FNR}|{RIGHT}", False),
        (f"identifier={RIGHT}", False),
        ("identifier=http://record.example/lopenummer|30714510343", False),
        ("name=Kveldsvik", False),
    ],
)
def test_a_search_that_would_find_another_patient_than_the_number_beside_it_is_refused(
    query: str, is_refused: bool
) -> None:
    """Whoever takes up such a reference, or such a condition, would write the note into the record that it finds."""
    link: Tree = {
        "reference": f"https://record.example/fhir/Patient?{query}",
        "identifier": {"system": FNR, "value": RIGHT},
    }
    told = {
        "Bundle.entry[0].resource.subject.reference": _bundle({"resourceType": "Flag", "subject": link}),
        "Bundle.entry[0].request.ifNoneExist": _in_transaction(query),
    }
    for path, message in told.items():
        if is_refused:
            assert _refusal(message).path == path
        else:
            assert check_patient(message, TEST_KINDS) == (RIGHT,)
