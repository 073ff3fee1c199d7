"""Answers to STU3 senders: a resource of the inner language, as FHIR STU3 and VKP's older profiles have it.

The other way round than everything else here, and by the same tables. What STU3 has no element for goes into the extension that
HL7 names for an element of R4 (`http://hl7.org/fhir/4.0/StructureDefinition/extension-<element>`); a modifier, or a code that
STU3 has none for where that changes what is said, refuses the resource, since an older reader would take it for something else.
"""

import re
from collections.abc import Mapping
from functools import cache

from translators.contract import Reason, Refused, Tree
from translators.fhir import rules
from translators.fhir.corrections import RENEWED
from translators.fhir.elements import ELEMENT, Element, r4, stu3
from translators.fhir.invariants import as_list, listed
from translators.fhir.plan import value_name
from translators.fhir.stu3_to_r4 import renaming
from translators.places import printable_name

Fields = dict[str, Tree]

ANSWERED = frozenset({"Patient", "EpisodeOfCare", "CarePlan", "Composition"})
"""What VKP's STU3 tells of."""
OLD_IDENTIFIER = "urn:vkp-gateway:old-identifier"
"""The extension for an identifier that is no longer in use, which STU3 has no code for."""
_STRUCTURES = "http://ehelse.no/fhir/StructureDefinition/"
_OLDER = {
    f"{_STRUCTURES}{name}-v090": f"{_STRUCTURES}{name}-{version}"
    for name, version in (
        *(("vkp-Patient", "v06"), ("vkp-CarePlan", "v06"), ("vkp-Address", "v06"), ("vkp-sone", "v06")),
        *(("vkp-household", "v05"), ("vkp-elock", "v06"), ("vkp-detailheader", "v05"), ("vkp-annotation", "v06")),
    )
}
"""VKP's profiles and extensions of R4, with their names in STU3."""
_SAME_CODES = {
    "http://ehelse.no/fhir/CodeSystem/vkp-careplan-category-v090": "http://ehelse.no/fhir/CodeSystem/vkp-careplan-category-v06"
}
"""VKP's code systems that have the same codes in STU3, by another URL."""
_HL7_TABLE = re.compile(r"http://terminology\.hl7\.org/CodeSystem/(v[23])-([A-Za-z0-9]+)")
_AS_URI = {"valueUrl": "valueUri", "valueCanonical": "valueUri", "valueUuid": "valueUri"}
_TEXTS = frozenset({"string", "markdown", "id", "code", "uri", "url", "canonical", "uuid", "oid"})
_NUMBERS = frozenset({"integer", "positiveInt", "unsignedInt"})


def expressed(resource: Tree) -> Fields:
    """Return a resource of R4 as STU3 has it; raises `Refused`, by path, where that would say something else."""
    kind = resource.get("resourceType") if isinstance(resource, dict) else None
    if not isinstance(resource, dict) or kind not in ANSWERED:
        raise Refused(Reason.UNSUPPORTED, "no resource that VKP's STU3 tells of", "resourceType")
    return {"resourceType": kind, **_object(resource, str(kind), str(kind), str(kind))}


def _object(value: Tree, old: str, new: str, path: str) -> Fields:
    """Return an object of the type `old` of R4 as one of the type `new` of STU3."""
    if not isinstance(value, dict):
        raise Refused(Reason.FORMAT, "an object is expected", path)
    had, has = r4().types[old], stu3().types.get(new)
    if has is None:
        raise Refused(Reason.UNSUPPORTED, "STU3 has no such type", path)
    result: Fields = {}
    kept: Fields = {}
    for name, field in _moved(old, value, path).items():
        stem = name.removeprefix("_")
        below, element = f"{path}.{printable_name(name)}", had.get(stem)
        if stem == "resourceType":
            continue
        if element is None:
            raise Refused(Reason.FORMAT, "R4 has no such element", below)
        target = _older_names().get(old, {}).get(stem, stem)
        place = has.get(target)
        if place is None or not _holds(element, place) or not _fits(field, place):
            kept[name] = field
            continue
        prefix = "_" if name.startswith("_") else ""
        result[prefix + target] = _values(field, element, place, below, is_sibling=bool(prefix))
    for name in [name for name in result if _lacks_code(new, name, result)]:
        kept[name] = value[name]
        del result[name]
    if kept:
        result["extension"] = [*listed(result.get("extension")), *_extensions(kept, old, path)]
    return _with_older_urls(new, result)


def _moved(kind: str, value: Fields, path: str) -> Fields:
    """Take what stands elsewhere in STU3 out of its place: identifiers that are no longer in use."""
    identifiers = value.get("identifier")
    if kind != "Patient" or not isinstance(identifiers, list):
        return value
    old = [one for one in identifiers if isinstance(one, dict) and one.get("use") == "old"]
    if not old:
        return value
    if any(len(one) == 1 for one in old):
        raise Refused(
            Reason.UNSUPPORTED, "STU3 cannot say that an identifier without a value is old", f"{path}.identifier"
        )
    told: list[Tree] = [
        {"url": OLD_IDENTIFIER, "valueIdentifier": {name: field for name, field in one.items() if name != "use"}}
        for one in old
    ]
    others = [one for one in identifiers if one not in old]
    rest = {name: field for name, field in value.items() if name != "identifier"}
    return {**rest, **({"identifier": others} if others else {}), "extension": [*listed(value.get("extension")), *told]}


def _holds(element: Element, place: Element) -> bool:
    """Whether an element of STU3 takes what one of R4 has."""
    one, other = element.type, place.type
    if one == other or {one, other} <= _TEXTS or {one, other} <= _NUMBERS:
        return True
    return "." in one and "." in other


def _fits(field: Tree, place: Element) -> bool:
    return place.repeats or not isinstance(field, list) or len(field) == 1


def _values(field: Tree, element: Element, place: Element, path: str, *, is_sibling: bool) -> Tree:
    old, new = (ELEMENT, ELEMENT) if is_sibling else (element.type, place.type)
    primitive = element.primitive and not is_sibling
    items = field if isinstance(field, list) else [field]
    told = [
        item if primitive or item is None else _one(item, old, new, f"{path}[{index}]" if element.repeats else path)
        for index, item in enumerate(items)
    ]
    return told if place.repeats else told[0]


def _one(item: Tree, old: str, new: str, path: str) -> Tree:
    if old == "Resource":
        return expressed_inside(item, path)
    if old == "Extension" and isinstance(item, dict):
        item = {_AS_URI.get(name, name): field for name, field in item.items()}
        unknown = next((name for name in item if name.removeprefix("_") not in stu3().types["Extension"]), None)
        if unknown is not None:
            raise Refused(Reason.UNSUPPORTED, "STU3 has no such extension value", f"{path}.{printable_name(unknown)}")
    return _object(item, old, new, path)


def expressed_inside(resource: Tree, path: str) -> Fields:
    """Return a contained resource as STU3 has it; raises `Refused`."""
    kind = resource.get("resourceType") if isinstance(resource, dict) else None
    if not isinstance(kind, str) or kind not in r4().resources or kind not in stu3().resources:
        raise Refused(Reason.UNSUPPORTED, "STU3 has no such resource", path)
    return {"resourceType": kind, **_object(resource, kind, kind, path)}


def _lacks_code(kind: str, name: str, fields: Fields) -> bool:
    """Whether a code is none of STU3's, after giving it STU3's name in `fields` where that has one."""
    path, code = f"{kind}.{name}", fields[name]
    allowed = rules.stu3().codes.get(path)
    if allowed is None or not isinstance(code, str):
        return False
    code = fields[name] = _older_codes().get(path, {}).get(code, code)
    if code in allowed:
        return False
    if path in rules.stu3().modifiers and path != "Address.use":
        raise Refused(Reason.UNSUPPORTED, "STU3 has no code for it", path)
    return True


def _extensions(kept: Mapping[str, Tree], owner: str, path: str) -> list[Tree]:
    """Return elements that STU3 has no place for as extensions, each item of its own."""
    found: list[Tree] = []
    for stem in dict.fromkeys(name.removeprefix("_") for name in kept):
        where, element = f"{path}.{stem}", r4().types[owner][stem]
        if rules.is_modifier(f"{owner}.{stem}") and f"{owner}.{stem}" != "Address.use":
            raise Refused(Reason.UNSUPPORTED, "STU3 has no such modifier", where)
        value = _AS_URI.get(value_name(element.type), value_name(element.type))
        if "." in element.type or value not in stu3().types["Extension"]:
            raise Refused(Reason.UNSUPPORTED, "STU3 has no place for it", where)
        items, siblings = as_list(kept.get(stem)), as_list(kept.get(f"_{stem}"))
        for index in range(max(len(items), len(siblings))):
            one: Fields = {"url": f"http://hl7.org/fhir/4.0/StructureDefinition/extension-{owner}.{stem}"}
            if index < len(items) and items[index] is not None:
                one[value] = (
                    items[index] if element.primitive else _object(items[index], element.type, element.type, where)
                )
            if index < len(siblings) and siblings[index] is not None:
                one[f"_{value}"] = _object(siblings[index], ELEMENT, ELEMENT, where)
            found.append(one)
    return found


def _with_older_urls(kind: str, fields: Fields) -> Fields:
    """Write the URLs that VKP and HL7 gave another name."""
    if kind == "Extension" and isinstance(url := fields.get("url"), str):
        fields["url"] = _OLDER.get(url, url)
    elif kind == "Coding" and isinstance(system := fields.get("system"), str):
        fields["system"] = _SAME_CODES.get(system) or _older_system(system)
    elif kind == "Meta" and isinstance(profiles := fields.get("profile"), list):
        fields["profile"] = [_OLDER.get(one, one) if isinstance(one, str) else one for one in profiles]
    return fields


@cache
def _older_names() -> dict[str, dict[str, str]]:
    """Return STU3's names of R4's elements, by type, where they differ."""
    return {
        kind: {new: old for old, new in names.items() if "." not in new} for kind, names in renaming().elements.items()
    }


@cache
def _older_codes() -> dict[str, dict[str, str]]:
    return {path: {new: old for old, new in codes.items()} for path, codes in renaming().codes.items()}


_OLDER_SYSTEMS = {new: old for old, new in RENEWED.items()}


def _older_system(url: str) -> str:
    table = _HL7_TABLE.fullmatch(url)
    return f"http://hl7.org/fhir/{table[1]}/{table[2]}" if table else _OLDER_SYSTEMS.get(url, url)
