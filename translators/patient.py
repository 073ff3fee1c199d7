"""Which elements identify the patient, and whether the numbers there may be used."""

from collections.abc import Iterator
from dataclasses import dataclass

from translators.contract import Reason, Refused, Tree
from translators.national_number import kind_of

NATIONAL_SYSTEMS = frozenset(
    {
        "urn:oid:2.16.578.1.12.4.1.4.1",  # fødselsnummer
        "urn:oid:2.16.578.1.12.4.1.4.2",  # D-nummer
        "urn:oid:2.16.578.1.12.4.1.4.3",  # felles hjelpenummer
    }
)
_PATIENT_ELEMENTS = ("subject", "patient")


@dataclass(frozen=True, slots=True)
class PatientIdentifier:
    """One identifier of a patient and where it stands."""

    path: str
    system: str
    value: str

    @property
    def is_national(self) -> bool:
        """Whether the number is a national identity number rather than one of a record system."""
        return self.system in NATIONAL_SYSTEMS


def patient_identifiers(resource: dict[str, Tree]) -> Iterator[PatientIdentifier]:
    """Go through the identifiers of `subject`, `patient` and Patient resources of an R4 message.

    Authors and performers are people too, but not the patient; their identifiers are left alone.
    """
    kind = str(resource.get("resourceType"))
    yield from _of_resource(resource, kind)
    if kind == "Bundle":
        for index, entry in enumerate(_list(resource.get("entry"))):
            inner = entry.get("resource") if isinstance(entry, dict) else None
            if isinstance(inner, dict):
                yield from _of_resource(inner, f"Bundle.entry[{index}].resource")


def check_patient(resource: dict[str, Tree], allowed: frozenset[str]) -> None:
    """Raise `Refused` unless national numbers name the patient and each of them is right and of an allowed kind."""
    found = list(patient_identifiers(resource))
    national = [identifier for identifier in found if identifier.is_national]
    for identifier in national:
        kind = kind_of(identifier.value)
        if kind is None:
            raise Refused(Reason.PATIENT, "not a valid national identity number", identifier.path)
        if kind not in allowed:
            raise Refused(Reason.PATIENT, f"a number of the series {kind} is not for this environment", identifier.path)
    if not national:
        where = found[0].path if found else None
        local = "the patient has only a number of the record system's own" if found else "no patient is identified"
        raise Refused(Reason.PATIENT, f"{local}; a national identity number is needed", where)


def _of_resource(resource: dict[str, Tree], path: str) -> Iterator[PatientIdentifier]:
    if resource.get("resourceType") == "Patient":
        yield from _identifiers(resource.get("identifier"), f"{path}.identifier")
    for name in _PATIENT_ELEMENTS:
        for reference in _list(resource.get(name)):
            if isinstance(reference, dict):
                yield from _identifiers(reference.get("identifier"), f"{path}.{name}.identifier")
    for index, inner in enumerate(_list(resource.get("contained"))):
        if isinstance(inner, dict):
            yield from _of_resource(inner, f"{path}.contained[{index}]")


def _identifiers(value: Tree, path: str) -> Iterator[PatientIdentifier]:
    for identifier in _list(value):
        if isinstance(identifier, dict) and (number := identifier.get("value")) is not None:
            yield PatientIdentifier(f"{path}.value", str(identifier.get("system", "")), str(number))


def _list(value: Tree) -> list[Tree]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]
