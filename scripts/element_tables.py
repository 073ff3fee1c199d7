"""Makes the tables of FHIR R4 in translators/fhir from HL7's own definitions.

    mvn dependency:get -Dtransitive=false -Dartifact=ca.uhn.hapi.fhir:hapi-fhir-validation-resources-r4:8.8.0
    unzip -d definitions ~/.m2/repository/ca/uhn/hapi/fhir/hapi-fhir-validation-resources-r4/8.8.0/*.jar
    python scripts/element_tables.py definitions/org/hl7/fhir/r4/model translators/fhir

The artifact carries `profiles-types.xml`, `profiles-resources.xml` and `valuesets.xml` of FHIR 4.0.1 (CC0). `r4_elements.json`
has of each StructureDefinition the elements with their types, whether they repeat, and which are one choice;
`r4_structure.json` what else a value must be: which elements are mandatory, what a reference may refer to, and the closed
lists of codes.
"""

import json
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

from r4_value_sets import ValueSets, value_of

FHIR = "{http://hl7.org/fhir}"
PRIMITIVE_TYPE_PREFIX = "http://hl7.org/fhirpath/System."
FHIR_TYPE = "structuredefinition-fhir-type"
CODED = ("code", "CodeableConcept", "Coding")
# Media types (BCP 13) are no list; the currencies (ISO 4217) are none in HL7's files, and only their form is known.
WITHOUT_LIST = {"http://hl7.org/fhir/ValueSet/mimetypes", "http://hl7.org/fhir/ValueSet/currencies"}

# HL7's files name this value set without saying what is in it (HL7 v3, ConfidentialityClassification).
CONFIDENTIALITY = "http://terminology.hl7.org/ValueSet/v3-ConfidentialityClassification"
NOT_IN_FILES = {
    CONFIDENTIALITY: {"http://terminology.hl7.org/CodeSystem/v3-Confidentiality": ["L", "M", "N", "R", "U", "V"]}
}

Node = ET.Element
Rows = dict[str, dict[str, Any]]


class Tables:
    """What is gathered of every type."""

    def __init__(self, value_sets: ValueSets) -> None:
        self._value_sets = value_sets
        self.primitives: list[str] = []
        self.types: dict[str, dict[str, str]] = {}
        self.mandatory: Rows = {}
        self.choices: Rows = {}
        self.codes: Rows = {}
        self.targets: Rows = {}
        self.lists: dict[str, Any] = {}

    def add(self, definition: Node) -> None:
        """Put a StructureDefinition of a base type into the tables."""
        if value_of(definition, "kind") == "primitive-type":
            self.primitives.append(value_of(definition, "name"))
            return
        for element in definition.iterfind(f"{FHIR}snapshot/{FHIR}element"):
            self._add_element(element)

    def _add_element(self, element: Node) -> None:
        path = value_of(element, "path")
        if "." not in path:
            self.types.setdefault(path, {})
            return
        if value_of(element, "max") == "0":
            return
        owner, name = path.rsplit(".", 1)
        repeats = "" if value_of(element, "max") == "1" else "*"
        fields = _fields(path, name, element)
        for field, type_name in fields:
            self.types.setdefault(owner, {})[field] = type_name + repeats
        if value_of(element, "min") != "0":
            self.mandatory.setdefault(owner, []).append(name)
        if name.endswith("[x]"):
            self.choices.setdefault(owner, {})[name] = [field for field, _ in fields]
        self._add_codes(owner, fields, element)
        targets = [profile.rpartition("/")[2] for profile in _target_profiles(element)]
        if targets and "Resource" not in targets:
            # References of a choice with other types have one name; no other type has targets but canonical.
            self.targets.setdefault(owner, {})[next(f for f, kind in fields if kind == "Reference")] = targets

    def _add_codes(self, owner: str, fields: list[tuple[str, str]], element: Node) -> None:
        binding = element.find(f"{FHIR}binding")
        if binding is None or value_of(binding, "strength") != "required":
            return
        url = value_of(binding, "valueSet").partition("|")[0]
        coded = [field for field, kind in fields if kind in CODED]
        if not coded or not url or url in WITHOUT_LIST:
            return
        try:
            self.lists[url] = NOT_IN_FILES.get(url) or self._value_sets.expanded(url)
        except (KeyError, ValueError):
            print(f"{owner}.{coded[0]}: no list for {url}")
            return
        for field in coded:
            self.codes.setdefault(owner, {})[field] = url


def main() -> None:
    """Read the folder in the first argument, write the tables into the second."""
    source, target = Path(sys.argv[1]), Path(sys.argv[2])
    tables = Tables(ValueSets(resources_in(source / "valueset" / "valuesets.xml")))
    for file in ("profiles-types.xml", "profiles-resources.xml"):
        for definition in resources_in(source / "profile" / file):
            if _is_base_type(definition):
                tables.add(definition)
    head = f'{{"release": "4.0.1",\n"primitives": {json.dumps(sorted(tables.primitives))},\n"choices": {{\n'
    body = f'{_lines(tables.choices)}}},\n"types": {{\n{_lines(tables.types)}\n}}}}\n'
    (target / "r4_elements.json").write_text(head + body, encoding="utf-8")
    parts = {"mandatory": tables.mandatory, "codes": tables.codes, "targets": tables.targets, "lists": tables.lists}
    body = ",\n".join(f'"{name}": {{\n{_lines(part)}\n}}' for name, part in parts.items())
    (target / "r4_structure.json").write_text(f'{{"release": "4.0.1",\n{body}\n}}\n', encoding="utf-8")
    print(f"{len(tables.types)} types, {len(tables.primitives)} primitives, {len(tables.lists)} lists -> {target}")


def resources_in(file: Path) -> list[Node]:
    """Return the resources of a Bundle in XML."""
    root = ET.parse(file).getroot()  # noqa: S314 - HL7's own file
    return [place[0] for place in root.iterfind(f"{FHIR}entry/{FHIR}resource")]


def _lines(rows: dict[str, Any]) -> str:
    return ",\n".join(f"{json.dumps(name)}: {json.dumps(row)}" for name, row in sorted(rows.items()))


def _is_base_type(definition: Node) -> bool:
    if definition.tag != f"{FHIR}StructureDefinition" or value_of(definition, "kind") == "logical":
        return False
    return value_of(definition, "derivation") != "constraint"


def _fields(path: str, name: str, element: Node) -> list[tuple[str, str]]:
    """Return the JSON names of an element with their types; `value[x]` has one for each type."""
    if reference := value_of(element, "contentReference"):
        return [(name, reference.removeprefix("#"))]
    codes = [_type_name(path, kind) for kind in element.iterfind(f"{FHIR}type")]
    if name.endswith("[x]"):
        stem = name.removesuffix("[x]")
        return [(stem + code[0].upper() + code[1:], code) for code in dict.fromkeys(codes)]
    return [(name, codes[0])]


def _target_profiles(element: Node) -> list[str]:
    """Return the profiles of what a Reference may refer to."""
    kinds = [kind for kind in element.iterfind(f"{FHIR}type") if value_of(kind, "code") == "Reference"]
    return [profile.get("value", "") for kind in kinds for profile in kind.iterfind(f"{FHIR}targetProfile")]


def _type_name(path: str, kind: Node) -> str:
    code = value_of(kind, "code")
    if code in ("BackboneElement", "Element"):
        return path
    if code.startswith(PRIMITIVE_TYPE_PREFIX):
        # Element.id, Extension.url and the like: the FHIR type stands in an extension of the definition.
        for extension in kind.iterfind(f"{FHIR}extension"):
            if extension.get("url", "").endswith(FHIR_TYPE):
                return value_of(extension, "valueUrl")
        return "string"
    return code


if __name__ == "__main__":
    main()
