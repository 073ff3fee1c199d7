"""Which elements identify the patient, and whether the numbers there may be used."""

import re
from collections.abc import Container, Iterable, Iterator, Mapping
from typing import NamedTuple

from translators.contract import Reason, Refused, Repair, RepairedText, Tree
from translators.entry_links import EntryLinks, is_patient_search, links_to, searched_identifiers
from translators.fhir.invariants import as_list
from translators.fhir.json_codec import encode
from translators.fhir.moments import is_within
from translators.made import leaves_as_they_came
from translators.national_number import Kind, kind_of

BIRTH_NUMBER = "urn:oid:2.16.578.1.12.4.1.4.1"
D_NUMBER = "urn:oid:2.16.578.1.12.4.1.4.2"
FH_NUMBER = "urn:oid:2.16.578.1.12.4.1.4.3"
SYSTEM_OF = {"FNR": BIRTH_NUMBER, "DNR": D_NUMBER, "FHN": FH_NUMBER}
"""By the codes of kodeverk 8116."""
NATIONAL_SYSTEMS = frozenset({BIRTH_NUMBER, D_NUMBER, FH_NUMBER})
_NATIONAL = b'"urn:oid:2.16.578.1.12.4.1.4.'
_NUMBERED = re.compile(rb'"system":"urn:oid:2\.16\.578\.1\.12\.4\.1\.4\.[1-3]","value":"([0-9]{11})"')
NO_NUMBER = "no patient is identified; a national identity number is needed"
"""What is said where nobody is named by a number of any kind."""
BEST_FIRST = (BIRTH_NUMBER, D_NUMBER, FH_NUMBER)
"""A number that replaces another one day before that."""
_OF_THE_NUMBER = ("system", "_system", "value", "_value", "type", "period", "assigner", "use")
"""What an identifier says of its number, and no longer holds of another."""
_HOLDS_OTHERS = frozenset({"Bundle", "Parameters"})
_PATIENT_ELEMENTS = ("subject", "patient")
_ABOUT = ("for", "beneficiary", "focus")
"""Whom a Task or a Coverage is for, and what an Observation looks at (or a section of a note): the patient, where it is a person with a national number."""
_AMONG = (("member", "entity"), ("participant", "actor"))
"""Who is of a Group, or takes part in an Appointment: likewise, where it is named as a Patient."""
_PATIENT_LINK = re.compile("(?:^|/)Patient/")


class PatientIdentifier(NamedTuple):
    """One identifier of a patient and where it stands."""

    path: str
    system: str
    value: str
    is_old: bool = False
    """Whether it says that it is no longer in use."""

    @property
    def is_national(self) -> bool:
        """Whether the number is a national identity number rather than one of a record system."""
        return self.system in NATIONAL_SYSTEMS


def resolve(
    tree: dict[str, Tree], local_numbers: Mapping[tuple[str, str], str], at: str | None = None
) -> tuple[tuple[Repair, ...], int]:
    """Replace the record system's own patient numbers by the national ones of this table, in the place of the tree.

    Wherever such a number stands it means the same person, but for one that is no longer in use, or is not `at` that moment: it may
    be another's by now. Returns the repairs, and how many leaves they are that no other repair had made.
    """
    repairs: list[Repair] = []
    newly = 0
    places = list(_identifiers_below(tree, str(tree.get("resourceType")))) if local_numbers else []
    for path, identifier in places:
        key = (str(identifier.get("system", "")), str(identifier.get("value", "")))
        number = local_numbers.get(key)
        if number is not None and _is_in_use(identifier, at):
            replaced = [name for name in _OF_THE_NUMBER if name in identifier]
            newly += sum(leaves_as_they_came(identifier.pop(name)) for name in replaced)
            identifier |= {"system": RepairedText(system_of(number)), "value": RepairedText(number)}
            repairs += [Repair(f"{path}.{name}", "patient-number-resolved") for name in replaced]
    return tuple(repairs), newly


def _identifiers_below(tree: Tree, path: str) -> Iterator[tuple[str, dict[str, Tree]]]:
    if isinstance(tree, dict):
        if "system" in tree and "value" in tree:
            yield path, tree
        for name, below in tree.items():
            yield from _identifiers_below(below, f"{path}.{name}")
    elif isinstance(tree, list):
        for index, below in enumerate(tree):
            yield from _identifiers_below(below, f"{path}[{index}]")


def _is_in_use(identifier: dict[str, Tree], at: str | None) -> bool:
    return identifier.get("use") != "old" and (at is None or is_within(identifier.get("period"), at))


def identifiers_of(tree: Tree, systems: Container[object], at: str | None = None) -> set[tuple[str, str]]:
    """Return every system and value in a tree whose system is one of these, but for numbers not in use, or not `at` a moment."""
    return {
        (str(identifier["system"]), str(identifier["value"]))
        for _, identifier in _identifiers_below(tree, "")
        if isinstance(identifier["system"], str) and identifier["system"] in systems and _is_in_use(identifier, at)
    }


def system_of(number: str) -> str:
    """Return the identifier system that a valid national number is written with."""
    if kind_of(number) is Kind.FH:
        return FH_NUMBER
    return D_NUMBER if number[0] in "4567" else BIRTH_NUMBER


def check_patient(resource: dict[str, Tree], allowed: frozenset[str]) -> tuple[str, ...]:
    """Raise `Refused` unless national numbers, right and of an allowed kind, name one and the same patient everywhere.

    Returns the patient's numbers in an order of their own, not the message's: those in use before old ones, a fødselsnummer
    before a D-number, which it replaces one day, before a felles hjelpenummer, each by its digits. So the first is the same in
    whatever order a message has them. Authors and performers are people too, but not the patient: `check_persons` looks at them.
    """
    persons: list[set[str]] = []
    paths: list[str] = []
    right: set[str] = set()
    old: set[str] = set()
    in_use: set[str] = set()
    has_unnumbered = False
    for named in _named(resource):
        numbers = [identifier for identifier in named.identifiers if identifier.is_national]
        for identifier in numbers:
            if identifier.value not in right:
                _check_number(identifier, allowed)
                right.add(identifier.value)
            (old if identifier.is_old else in_use).add(identifier.value)
        if numbers:
            persons.append({identifier.value for identifier in numbers})
            paths.append(numbers[0].path)
        elif not named.is_elsewhere:
            raise _unnamed(named.identifiers, named.path)
        has_unnumbered |= named.is_patient and not numbers
    if not persons:
        raise _unnamed([], None)
    other = _another(persons)
    if other is not None:
        raise Refused(Reason.PATIENT, "another patient than the message names elsewhere", paths[other])
    if has_unnumbered:
        _refuse_unnumbered(resource)
    return tuple(sorted(persons[0].union(*persons), key=lambda number: (number in old - in_use, _standing(number))))


def check_persons(tree: dict[str, Tree], known: tuple[str, ...], allowed: frozenset[str]) -> None:
    """Raise `Refused` unless every national number, whoever it identifies, is right and of an allowed kind.

    Authors, performers and participants are people too. `known` are numbers that were checked before.
    """
    right = set(known)
    if _are_plainly_right(encode(tree), right, allowed):
        return
    pending: list[dict[str, Tree] | list[Tree]] = [tree]
    for holder in pending:  # grows while it is gone through
        values: Iterable[Tree] = holder
        if isinstance(holder, dict):
            if "system" in holder and _is_wrong(holder, right, allowed):
                _refuse_first(tree, allowed)
            values = holder.values()
        pending += [below for below in values if below.__class__ is dict or below.__class__ is list]


def _are_plainly_right(text: bytes, right: set[str], allowed: frozenset[str]) -> bool:
    """Tell in the short way of most messages, by their JSON: every national system there stands before a right number."""
    found = _NUMBERED.findall(text)
    if len(found) != text.count(_NATIONAL):
        return False
    return all(kind_of(number) in allowed for number in {one.decode() for one in found} - right)


def _is_wrong(identifier: dict[str, Tree], right: set[str], allowed: frozenset[str]) -> bool:
    system, number = identifier.get("system"), identifier.get("value")
    if not isinstance(system, str) or system not in NATIONAL_SYSTEMS or number is None or str(number) in right:
        return False
    if kind_of(str(number)) in allowed:
        right.add(str(number))
        return False
    return True


def _refuse_first(tree: dict[str, Tree], allowed: frozenset[str]) -> None:
    for path, identifier in _identifiers_below(tree, str(tree.get("resourceType"))):
        found = PatientIdentifier(f"{path}.value", str(identifier["system"]), str(identifier["value"]))
        if found.is_national:
            _check_number(found, allowed)


def _standing(number: str) -> tuple[int, str]:
    return BEST_FIRST.index(system_of(number)), number


def _check_number(identifier: PatientIdentifier, allowed: frozenset[str]) -> None:
    kind = kind_of(identifier.value)
    if kind is None:
        raise Refused(Reason.PATIENT, "not a valid national identity number", identifier.path)
    if kind not in allowed:
        raise Refused(Reason.PATIENT, f"a number of the series {kind} is not for this environment", identifier.path)


def _unnamed(identifiers: list[PatientIdentifier], path: str | None) -> Refused:
    if identifiers:
        found = "the patient has only a number of the record system's own; a national identity number is needed"
        return Refused(Reason.UNKNOWN_PATIENT, found, identifiers[0].path)
    return Refused(Reason.PATIENT, NO_NUMBER, path)


def _another(persons: list[set[str]]) -> int | None:
    """Return which is another person than the first; one Patient may have several numbers, and so join two others."""
    named: dict[str, list[int]] = {}
    for index, numbers in enumerate(persons):
        for number in numbers:
            named.setdefault(number, []).append(index)
    joined, pending = {0}, [0]
    while pending:
        for number in persons[pending.pop()]:
            others = [index for index in named.pop(number, ()) if index not in joined]
            joined.update(others)
            pending += others
    return next((index for index in range(len(persons)) if index not in joined), None)


class _Named(NamedTuple):
    """A place that names the patient: a Patient resource, or a `subject` or `patient`."""

    path: str
    identifiers: list[PatientIdentifier]
    is_elsewhere: bool = False
    """Whether it need have no number of its own: it refers to a resource of the message, or is one."""
    is_patient: bool = False
    """Whether it is a Patient resource."""


def _named(resource: dict[str, Tree]) -> Iterator[_Named]:
    kind = str(resource.get("resourceType"))
    if kind != "Bundle":
        yield from _of_resource(resource, kind, ())
        return
    entries = [entry for entry in as_list(resource.get("entry")) if isinstance(entry, dict)]
    links = (EntryLinks(entries),)
    for index, entry in enumerate(as_list(resource.get("entry"))):
        inner = entry.get("resource") if isinstance(entry, dict) else None
        if isinstance(entry, dict) and isinstance(inner, dict):
            path = f"Bundle.entry[{index}].resource"
            if inner.get("resourceType") in _HOLDS_OTHERS:
                raise Refused(Reason.FORMAT, "a message within a message", path)
            yield from _of_resource(inner, path, links)
            if "request" in entry and inner.get("resourceType") == "Patient":
                yield from _asked_for(entry["request"], f"Bundle.entry[{index}].request")


def _of_resource(resource: dict[str, Tree], path: str, links: tuple[Container[object], ...]) -> Iterator[_Named]:
    """Go through the places of one resource; `links` are those of the resources around it, one set for each level."""
    contained: list[dict[str, Tree]] = []
    if "contained" in resource:
        contained = [inner for inner in as_list(resource["contained"]) if isinstance(inner, dict)]
        links = (*links, frozenset(f"#{inner.get('id')}" for inner in contained))
    if resource.get("resourceType") == "Patient":
        own = list(_identifiers(resource.get("identifier"), f"{path}.identifier"))
        yield _Named(path, own, is_elsewhere=True, is_patient=True)
    for name in _PATIENT_ELEMENTS:
        for reference in as_list(resource[name]) if name in resource else ():
            if isinstance(reference, dict):
                identifiers = list(_identifiers(reference.get("identifier"), f"{path}.{name}.identifier"))
                link = reference.get("reference")
                is_elsewhere = not identifiers and any(link in level for level in links)
                yield _Named(f"{path}.{name}", identifiers, is_elsewhere)
                if identifiers and is_patient_search(link):
                    yield from _searched(str(link), f"{path}.{name}.reference")
    for at, reference in _others(resource):
        found = _identifiers(reference.get("identifier"), f"{path}.{at}.identifier")
        if national := [one for one in found if one.is_national]:
            yield _Named(f"{path}.{at}", national)
    for index, inner in enumerate(contained):
        yield from _of_resource(inner, f"{path}.contained[{index}]", links)


def _asked_for(request: Tree, path: str) -> Iterator[_Named]:
    """Go through whom an entry is to be added for only where nobody has the number that it asks for."""
    asked = request.get("ifNoneExist") if isinstance(request, dict) else None
    if isinstance(asked, str):
        yield from _searched(asked, f"{path}.ifNoneExist")


def _searched(search: str, path: str) -> Iterator[_Named]:
    """Go through the national numbers that a search for a patient names, with their system or without one."""
    for named, number in searched_identifiers(search):
        system = system_of(number) if not named and kind_of(number) is not None else named
        if system in NATIONAL_SYSTEMS:
            yield _Named(path, [PatientIdentifier(path, system, number)])


def _refuse_unnumbered(tree: dict[str, Tree]) -> None:
    """Raise `Refused` where something is about a Patient of the message of whom no national number is said anywhere.

    The number that the message has elsewhere may be another's. A number beside a reference is that of the Patient whom it leads to.
    """
    numbered: set[int] = set()
    about: list[tuple[str, dict[str, Tree]]] = []
    for path, resource, patients in _with_patients(tree):
        for name in _PATIENT_ELEMENTS:
            for at, reference in _each(resource.get(name), f"{path}.{name}"):
                patient = patients.get(str(reference.get("reference")))
                if patient is None:
                    continue
                if _is_numbered(reference) or _is_numbered(patient):
                    numbered.add(id(patient))
                else:
                    about.append((at, patient))
    for at, patient in about:
        if id(patient) not in numbered:
            raise _unnamed([one._replace(path=at) for one in _identifiers(patient.get("identifier"), at)], at)


def _with_patients(tree: dict[str, Tree]) -> Iterator[tuple[str, dict[str, Tree], dict[str, dict[str, Tree]]]]:
    """Go through the resources of a message, each with its path and the Patients that it can refer to, by their links."""
    kind = str(tree.get("resourceType"))
    if kind != "Bundle":
        yield from _inner_with_patients(tree, kind, {})
        return
    entries = [(index, one) for index, one in enumerate(as_list(tree.get("entry"))) if isinstance(one, dict)]
    held = [(f"Bundle.entry[{index}].resource", entry, entry.get("resource")) for index, entry in entries]
    # Of two that one link leads to, the one without a number is the doubtful one.
    found = sorted((one for one in held if _is_patient(one[2])), key=lambda one: not _is_numbered(one[2]))
    patients = {link: one for _, entry, one in found for link in links_to(entry)}
    for path, _, one in held:
        if isinstance(one, dict):
            yield from _inner_with_patients(one, path, patients)  # type: ignore[arg-type] # they are Patients


def _inner_with_patients(
    resource: dict[str, Tree], path: str, patients: dict[str, dict[str, Tree]]
) -> Iterator[tuple[str, dict[str, Tree], dict[str, dict[str, Tree]]]]:
    contained = [one for one in as_list(resource.get("contained")) if isinstance(one, dict)]
    known = {**patients, **{f"#{one.get('id')}": one for one in contained if _is_patient(one)}}
    yield path, resource, known
    for index, one in enumerate(contained):
        yield from _inner_with_patients(one, f"{path}.contained[{index}]", known)


def _is_numbered(named: Tree) -> bool:
    return isinstance(named, dict) and any(one.is_national for one in _identifiers(named.get("identifier"), ""))


def _is_patient(resource: Tree) -> bool:
    return isinstance(resource, dict) and resource.get("resourceType") == "Patient"


def _others(resource: dict[str, Tree]) -> Iterator[tuple[str, dict[str, Tree]]]:
    """Go through the references of a resource that need name nobody, and no other person than the patient."""
    for name in _ABOUT:
        if name in resource:
            yield from _each(resource[name], name)
    if "section" in resource:
        yield from _focused(resource["section"], "section")
    for name, inner in _AMONG:
        for at, one in _each(resource[name], name) if name in resource else ():
            for below, reference in _each(one.get(inner), f"{at}.{inner}"):
                written = reference.get("reference")
                is_linked = isinstance(written, str) and _PATIENT_LINK.search(written) is not None
                if is_linked or reference.get("type") == "Patient":
                    yield below, reference


def _focused(sections: Tree, path: str) -> Iterator[tuple[str, dict[str, Tree]]]:
    """Go through whom sections of a note are about, where that is not whom the note is."""
    for index, section in enumerate(as_list(sections)):
        # Few have either, and a note may have many sections.
        if isinstance(section, dict) and ("focus" in section or "section" in section):
            at = f"{path}[{index}]" if isinstance(sections, list) else path
            yield from _each(section.get("focus"), f"{at}.focus")
            yield from _focused(section.get("section"), f"{at}.section")


def _each(value: Tree, path: str) -> Iterator[tuple[str, dict[str, Tree]]]:
    for index, one in enumerate(as_list(value)):
        if isinstance(one, dict):
            yield (f"{path}[{index}]" if isinstance(value, list) else path), one


def _identifiers(value: Tree, path: str) -> Iterator[PatientIdentifier]:
    for identifier in as_list(value):
        if isinstance(identifier, dict) and (number := identifier.get("value")) is not None:
            is_old = identifier.get("use") == "old"
            yield PatientIdentifier(f"{path}.value", str(identifier.get("system", "")), str(number), is_old)
