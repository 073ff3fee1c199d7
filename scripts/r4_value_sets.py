"""The codes of HL7's value sets, from the definitions of the value sets and of the code systems that they draw on."""

import xml.etree.ElementTree as ET
from collections.abc import Iterator

FHIR = "{http://hl7.org/fhir}"

Node = ET.Element
Codes = dict[str, list[str]]


def value_of(node: Node, name: str) -> str:
    """Return the value of a child element; "" where there is none."""
    found = node.find(FHIR + name)
    return found.get("value", "") if found is not None else ""


class ValueSets:
    """Value sets that are lists of codes, whole code systems, or others; what asks a terminology server is refused."""

    def __init__(self, resources: list[Node]) -> None:
        self._sets = {value_of(one, "url"): one for one in resources if one.tag == f"{FHIR}ValueSet"}
        self._systems = {value_of(one, "url"): one for one in resources if one.tag == f"{FHIR}CodeSystem"}

    def expanded(self, url: str) -> Codes:
        """Return the codes by their code systems; raises `ValueError` for a value set that is no closed list."""
        compose = self._sets[url].find(f"{FHIR}compose")
        if compose is None or compose.find(f"{FHIR}exclude") is not None:
            raise ValueError(url)
        found: dict[str, dict[str, None]] = {}
        for include in compose.iterfind(f"{FHIR}include"):
            for system, code in self._included(include):
                found.setdefault(system, {})[code] = None
        return {system: sorted(codes) for system, codes in sorted(found.items())}

    def _included(self, include: Node) -> Iterator[tuple[str, str]]:
        system = value_of(include, "system")
        named = [value_of(concept, "code") for concept in include.iterfind(f"{FHIR}concept")]
        for other in include.iterfind(f"{FHIR}valueSet"):
            for of_other, codes in self.expanded(other.get("value", "")).items():
                yield from ((of_other, code) for code in codes)
        if named:
            yield from ((system, code) for code in named)
        elif system:
            below = self._below(system, include)
            yield from ((system, code) for code in below)

    def _below(self, system: str, include: Node) -> list[str]:
        """Return a code system's codes, or those of one of its branches."""
        definition = self._systems[system]
        filters = include.findall(f"{FHIR}filter")
        if not filters:
            return [value_of(concept, "code") for concept in definition.iter(f"{FHIR}concept")]
        (only,) = filters
        if (value_of(only, "property"), value_of(only, "op")) != ("concept", "is-a"):
            raise ValueError(system)
        for concept in definition.iter(f"{FHIR}concept"):
            if value_of(concept, "code") == value_of(only, "value"):
                return [value_of(one, "code") for one in concept.iter(f"{FHIR}concept")]
        raise ValueError(system)
