"""Makes service_stubs/fhir_r4_rules.json: what JFT's double asks of FHIR R4 beyond the models of fhir.resources.

    python scripts/double_rules.py definitions/org/hl7/fhir/r4/model service_stubs/fhir_r4_rules.json

From the same files of HL7 as `element_tables.py`, and by another reading of them: the double shares nothing with what it
judges. Kept are the closed lists of required bindings, and the invariants that are errors, as FHIRPath; elements are named as
the models name their types, `CompositionSection.code` for `Composition.section.code`.
"""

import json
import sys
from pathlib import Path

from lxml import etree

NS = {"f": "http://hl7.org/fhir"}
# Judged by code of the double: an element that says nothing, XHTML, and what only a server could resolve.
ELSEWHERE = {"ele-1", "txt-1", "txt-2", "ctm-1"}
# Repeated on every element, or every resource, and kept once.
OF_ALL = {"ext-1": "Extension", **{f"dom-{number}": "DomainResource" for number in (2, 3, 4, 5)}}
CODED = {"code", "Coding", "CodeableConcept"}


def main() -> None:
    """Read the folder in the first argument, write the file in the second."""
    source, target = Path(sys.argv[1]), Path(sys.argv[2])
    sets = {one.find("f:url", NS).get("value"): one for one in _all(source / "valueset" / "valuesets.xml")}
    codes: dict[str, dict[str, list[str]]] = {}
    invariants: dict[str, list[list[str]]] = {}
    for file in ("profiles-types.xml", "profiles-resources.xml"):
        for definition in _all(source / "profile" / file):
            is_base = not definition.xpath(
                "f:derivation[@value='constraint'] | f:kind[@value='logical']", namespaces=NS
            )
            if etree.QName(definition).localname == "StructureDefinition" and is_base:
                _read(definition, sets, codes, invariants)
    target.write_text(
        json.dumps({"codes": codes, "invariants": invariants}, indent=0, sort_keys=True) + "\n", encoding="utf-8"
    )
    print(f"{len(codes)} bindings, {sum(map(len, invariants.values()))} invariants -> {target}")


def _all(file: Path) -> list[etree._Element]:
    return etree.parse(file).xpath("/f:Bundle/f:entry/f:resource/*[f:url]", namespaces=NS)  # type: ignore[no-any-return]


def _read(definition: etree._Element, sets: dict, codes: dict, invariants: dict) -> None:  # type: ignore[type-arg]
    for element in definition.xpath("f:snapshot/f:element", namespaces=NS):
        path = element.find("f:path", NS).get("value")
        owner, _, name = path.rpartition(".")
        kinds = set(element.xpath("f:type/f:code/@value", namespaces=NS))
        is_own_type = not owner or bool(kinds & {"BackboneElement", "Element"})
        place = _model_name(path) if is_own_type else f"{_model_name(owner)}.{name.removesuffix('[x]')}"
        for constraint in element.xpath("f:constraint[f:severity/@value='error']", namespaces=NS):
            key, said = (constraint.find(f"f:{part}", NS).get("value") for part in ("key", "expression"))
            if key not in ELSEWHERE and (key not in OF_ALL or path in OF_ALL.values()):
                invariants.setdefault(place, []).append([key, said])
        url = element.xpath("string(f:binding[f:strength/@value='required']/f:valueSet/@value)", namespaces=NS)
        if url and kinds & CODED and (listed := _codes(url.partition("|")[0], sets)):
            codes[f"{_model_name(owner)}.{name.removesuffix('[x]')}"] = listed


def _model_name(path: str) -> str:
    return "".join(part[0].upper() + part[1:] for part in path.split("."))


def _codes(url: str, sets: dict) -> dict[str, list[str]] | None:  # type: ignore[type-arg]
    """Return a value set's codes by system, or None where it is no closed list in these files."""
    found: dict[str, list[str]] = {}
    includes = sets[url].xpath("f:compose/f:include", namespaces=NS) if url in sets else []
    for include in includes:
        system = include.xpath("string(f:system/@value)", namespaces=NS)
        listed = include.xpath("f:concept/f:code/@value", namespaces=NS)
        for other in include.xpath("f:valueSet/@value", namespaces=NS):
            for key, more in (_codes(other, sets) or {}).items():
                found.setdefault(key, []).extend(more)
        if system and not listed:
            branch = include.xpath("string(f:filter/f:value/@value)", namespaces=NS)
            step = f"//f:concept[f:code/@value='{branch}']/descendant-or-self::f:concept" if branch else "//f:concept"
            if system not in sets:
                return None
            listed = sets[system].xpath(f".{step}/f:code/@value", namespaces=NS)
        if system:
            found.setdefault(system, []).extend(map(str, listed))
    return found or None


if __name__ == "__main__":
    main()
