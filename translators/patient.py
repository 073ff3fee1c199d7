"""Which elements identify the patient, and whether the numbers there may be used."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from translators.contract import Message, Reason, Refused, Repair, RepairedNumber, RepairedText, Tree
from translators.national_number import Kind, kind_of

BIRTH_NUMBER = "urn:oid:2.16.578.1.12.4.1.4.1"
D_NUMBER = "urn:oid:2.16.578.1.12.4.1.4.2"
FH_NUMBER = "urn:oid:2.16.578.1.12.4.1.4.3"
NATIONAL_SYSTEMS = frozenset({BIRTH_NUMBER, D_NUMBER, FH_NUMBER})
_REPLACED = ("system", "value")
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


def resolved(message: Message, local_numbers: Mapping[tuple[str, str], str]) -> Message:
    """Return the message with the record system's own patient numbers replaced by the national ones of this table.

    The tree is changed in its place.
    """
    if not local_numbers:
        return message
    repairs: list[Repair] = []
    newly = 0
    for path, identifier in list(_objects(message.tree)):
        key = (str(identifier.get("system", "")), str(identifier.get("value", "")))
        number = local_numbers.get(key)
        if number is not None:
            newly += sum(1 for name in _REPLACED if name in identifier and not _is_repaired(identifier[name]))
            identifier |= {"system": RepairedText(system_of(number)), "value": RepairedText(number)}
            repairs.append(Repair(f"{path}.value", "patient-number-resolved"))
    if not repairs:
        return message
    counted = message.coverage
    coverage = replace(counted, carried=counted.carried - newly, repaired=counted.repaired + newly)
    return replace(message, repairs=(*message.repairs, *repairs), coverage=coverage)


def system_of(number: str) -> str:
    """Return the identifier system that a valid national number is written with."""
    if kind_of(number) is Kind.FH:
        return FH_NUMBER
    return D_NUMBER if number[0] in "4567" else BIRTH_NUMBER


def patient_identifiers(resource: dict[str, Tree]) -> Iterator[PatientIdentifier]:
    """Go through the identifiers of `subject`, `patient` and Patient resources of an R4 message.

    Authors and performers are people too, but not the patient; their identifiers are left alone.
    """
    for path, identifier in _objects(resource):
        if (number := identifier.get("value")) is not None:
            yield PatientIdentifier(f"{path}.value", str(identifier.get("system", "")), str(number))


def check_patient(resource: dict[str, Tree], allowed: frozenset[str]) -> None:
    """Raise `Refused` unless national numbers name one patient and each of them is right and of an allowed kind."""
    found = list(patient_identifiers(resource))
    national = [identifier for identifier in found if identifier.is_national]
    for identifier in national:
        kind = kind_of(identifier.value)
        if kind is None:
            raise Refused(Reason.PATIENT, "not a valid national identity number", identifier.path)
        if kind not in allowed:
            raise Refused(Reason.PATIENT, f"a number of the series {kind} is not for this environment", identifier.path)
    other = next((one for one in national if one.value != national[0].value), None)
    if other is not None:
        raise Refused(Reason.PATIENT, "another patient than the message named before", other.path)
    if not national:
        where = found[0].path if found else None
        local = "the patient has only a number of the record system's own" if found else "no patient is identified"
        raise Refused(Reason.PATIENT, f"{local}; a national identity number is needed", where)


_Placed = tuple[str, dict[str, Tree]]


def _objects(resource: dict[str, Tree]) -> Iterator[_Placed]:
    kind = str(resource.get("resourceType"))
    yield from _of_resource(resource, kind)
    if kind == "Bundle":
        for index, entry in enumerate(_list(resource.get("entry"))):
            inner = entry.get("resource") if isinstance(entry, dict) else None
            if isinstance(inner, dict):
                yield from _of_resource(inner, f"Bundle.entry[{index}].resource")


def _of_resource(resource: dict[str, Tree], path: str) -> Iterator[_Placed]:
    if resource.get("resourceType") == "Patient":
        yield from _identifiers(resource.get("identifier"), f"{path}.identifier")
    for name in _PATIENT_ELEMENTS:
        for reference in _list(resource.get(name)):
            if isinstance(reference, dict):
                yield from _identifiers(reference.get("identifier"), f"{path}.{name}.identifier")
    for index, inner in enumerate(_list(resource.get("contained"))):
        if isinstance(inner, dict):
            yield from _of_resource(inner, f"{path}.contained[{index}]")


def _identifiers(value: Tree, path: str) -> Iterator[_Placed]:
    for identifier in _list(value):
        if isinstance(identifier, dict):
            yield path, identifier


def _is_repaired(value: Tree) -> bool:
    return isinstance(value, (RepairedText, RepairedNumber))


def _list(value: Tree) -> list[Tree]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]
