"""Makes translators/fhir/stu3_rules.json and r4_rules.json from HL7's definitions: modifiers, and codes with a required binding.

    mvn dependency:get -Dtransitive=false -Dartifact=ca.uhn.hapi.fhir:hapi-fhir-validation-resources-dstu3:8.8.0
    mvn dependency:get -Dtransitive=false -Dartifact=ca.uhn.hapi.fhir:hapi-fhir-validation-resources-r4:8.8.0
    python scripts/code_rules.py hapi-fhir-validation-resources-dstu3-8.8.0.jar translators/fhir/stu3_rules.json
    python scripts/code_rules.py hapi-fhir-validation-resources-r4-8.8.0.jar translators/fhir/r4_rules.json

The jars carry HL7's own profiles-types, profiles-resources, valuesets and v3-codesystems. A path leads through the type that the
element belongs to (`Identifier.use`, not `Patient.identifier.use`). A ValueSet that cannot be listed, such as all MIME types, is
left out. What every resource or backbone has (`implicitRules`, `modifierExtension`) is left to the code.
"""

import json
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from lxml import etree

FHIR = "{http://hl7.org/fhir}"
INHERITED = frozenset({"implicitRules", "modifierExtension"})
MOST_CODES = 250
"""A ValueSet with more is a terminology of its own, such as all resource types with all their operations."""


class NotListedError(Exception):
    """A ValueSet whose codes the definitions do not list."""


@dataclass
class Definitions:
    """What is read of one jar."""

    release: str
    structures: list[etree._Element] = field(default_factory=list)
    code_systems: dict[str, etree._Element] = field(default_factory=dict)
    value_sets: dict[str, etree._Element] = field(default_factory=dict)

    def codes(self, url: str) -> frozenset[str]:
        """Return the codes of a ValueSet; raises `NotListedError` where they cannot be known."""
        value_set = self.value_sets.get(url.split("|", maxsplit=1)[0])
        compose = value_set.find(f"{FHIR}compose") if value_set is not None else None
        if compose is None:
            raise NotListedError(url)
        included = [self._included(part) for part in compose.findall(f"{FHIR}include")]
        excluded = [self._included(part) for part in compose.findall(f"{FHIR}exclude")]
        return frozenset().union(*included).difference(*excluded)

    def _included(self, part: etree._Element) -> frozenset[str]:
        sets = [self.codes(_text(one)) for one in part.findall(f"{FHIR}valueSet")]
        system = part.find(f"{FHIR}system")
        if system is None:
            return frozenset.intersection(*sets)
        listed = {_value(one, "code") for one in part.findall(f"{FHIR}concept")}
        found = frozenset(listed) if listed else self._of_system(_text(system), part.findall(f"{FHIR}filter"))
        return found.intersection(*sets)

    def _of_system(self, url: str, filters: list[etree._Element]) -> frozenset[str]:
        system = self.code_systems.get(url)
        if system is None or _value(system, "content") != "complete":
            raise NotListedError(url)
        found = [system]
        for one in filters:
            if (_value(one, "property"), _value(one, "op")) != ("concept", "is-a"):
                raise NotListedError(url)
            found = [at for at in system.iter(f"{FHIR}concept") if _value(at, "code") == _value(one, "value")]
        concepts = [at for holder in found for at in holder.iter(f"{FHIR}concept")]
        # A filter begins with the head of a group, which is no code to be used.
        return frozenset(_value(at, "code") for at in concepts if not (filters and _is_abstract(at)))


def main() -> None:
    """Read the jar in the first argument, write the table to the second."""
    jar, target = Path(sys.argv[1]), Path(sys.argv[2])
    found = definitions(jar)
    modifiers, bindings, sets = _rules(found)
    source = f"FHIR {found.release} of HL7 (CC0), by ca.uhn.hapi.fhir:{jar.stem}"
    rows = [
        f'{{"release": {json.dumps(found.release)},\n"source": {json.dumps(source)}',
        f'"modifiers": {_table(modifiers)}',
        f'"required": {_table(bindings)}',
        f'"codes": {_table({url: sorted(codes) for url, codes in sets.items()})}}}\n',
    ]
    target.write_text(",\n".join(rows), encoding="utf-8")
    print(f"{len(modifiers)} modifiers, {len(bindings)} required bindings, {len(sets)} sets of codes -> {target}")


def _table(rows: dict[str, object]) -> str:
    lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(row)}" for name, row in sorted(rows.items()))
    return f"{{\n{lines}}}"


def definitions(jar: Path) -> Definitions:
    """Read what is needed, element by element: the files are large."""
    found = Definitions("")
    with zipfile.ZipFile(jar) as archive:
        names = archive.namelist()
        for wanted in ("/profile/profiles-types.xml", "/profile/profiles-resources.xml"):
            root = etree.fromstring(archive.read(next(name for name in names if name.endswith(wanted))))
            found.structures += [one for one in root.iter(f"{FHIR}StructureDefinition") if _is_base_type(one)]
        for wanted in ("/valueset/valuesets.xml", "/valueset/v3-codesystems.xml"):
            root = etree.fromstring(archive.read(next(name for name in names if name.endswith(wanted))))
            found.code_systems |= {_value(one, "url"): one for one in root.iter(f"{FHIR}CodeSystem")}
            found.value_sets |= {_value(one, "url"): one for one in root.iter(f"{FHIR}ValueSet")}
    found.release = next(_value(one, "fhirVersion") for one in found.structures)
    return found


def _is_base_type(structure: etree._Element) -> bool:
    kind, derivation = _value(structure, "kind"), _value(structure, "derivation")
    return (
        kind in ("complex-type", "resource") and derivation != "constraint" and structure.find(f"{FHIR}url") is not None
    )


def _rules(found: Definitions) -> tuple[dict[str, object], dict[str, object], dict[str, frozenset[str]]]:
    modifiers: dict[str, object] = {}
    bindings: dict[str, object] = {}
    sets: dict[str, frozenset[str]] = {}
    for structure in found.structures:
        for element in structure.iterfind(f"{FHIR}snapshot/{FHIR}element"):
            path = _value(element, "path")
            is_own = "." in path and path.rsplit(".", 1)[1] not in INHERITED and _value(element, "max") != "0"
            if is_own and _value(element, "isModifier") == "true":
                modifiers[path] = list(dict.fromkeys(_types(element)))
            url = _required(element) if is_own else None
            if url is None:
                continue
            try:
                codes = found.codes(url)
            except NotListedError:
                continue
            if codes and len(codes) <= MOST_CODES:
                bindings[path] = url
                sets[url] = codes
    return modifiers, bindings, sets


def _types(element: etree._Element) -> Iterator[str]:
    for kind in element.findall(f"{FHIR}type"):
        yield _value(kind, "code")


def _required(element: etree._Element) -> str | None:
    """Return the ValueSet that an element's codes must be of."""
    binding = element.find(f"{FHIR}binding")
    if binding is None or _value(binding, "strength") != "required":
        return None
    for name in ("valueSet", "valueSetReference", "valueSetUri"):
        place = binding.find(f"{FHIR}{name}")
        if place is not None:
            inner = place.find(f"{FHIR}reference")
            return _text(inner if inner is not None else place).split("|")[0]
    return None


def _is_abstract(concept: etree._Element) -> bool:
    properties = concept.findall(f"{FHIR}property")
    return any(_value(one, "code") == "notSelectable" and _value(one, "valueBoolean") == "true" for one in properties)


def _value(element: etree._Element, name: str) -> str:
    place = element.find(f"{FHIR}{name}")
    return "" if place is None else _text(place)


def _text(element: etree._Element) -> str:
    return str(element.get("value", ""))


if __name__ == "__main__":
    main()
