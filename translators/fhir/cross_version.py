"""Extensions for elements that R4 has no place for, so that they are neither lost nor given a meaning they do not have.

HL7 defines such extensions for the elements that a release has and R4 has not (FHIR R4, versions.html#extensions): their URL
names release and element, a choice without its type. For any other element, as one of a resource that became a resource of
another type, HL7 defines none, and the extension has a URL of the gateway's own.
"""

from collections.abc import Iterator, Mapping

from translators.contract import Made, Tree
from translators.fhir.elements import Element, Release, r4
from translators.fhir.invariants import as_list
from translators.fhir.plan import value_name

RULE = "kept-in-extension"
"""The repair of an element that the target has no place for; the extension's URL is derived by it."""
OWN = "urn:vkp-gateway:element"
"""How the URLs of the gateway's own extensions begin; release and element follow."""

_VERSIONS = {"STU3": "3.0", "R4": "4.0"}


def extensions(kept: Mapping[str, Tree], owner: str, release: Release) -> list[Tree]:
    """Return the extensions that hold these elements of a type, for where R4 has no place for them.

    `kept` has them by the names of `release`, their types already as R4 writes them; a primitive's `_name` goes along.
    """
    return list(_of_fields(kept, owner, release, is_outer=True))


def url_of(owner: str, name: str, release: Release) -> str:
    """Return the URL of the extension for an element of a type."""
    element = f"{owner}.{release.without_type(owner, name)}"
    version = _VERSIONS[release.name]
    if release is r4() or _is_in_r4(owner, name, release):
        return f"{OWN}:{version}:{element}"
    return f"http://hl7.org/fhir/{version}/StructureDefinition/extension-{element}"


def _is_in_r4(owner: str, name: str, release: Release) -> bool:
    """Whether R4 has the element of another release at the same place, of the same type or among those of a choice."""
    row = r4().types.get(owner, {})
    found, element = row.get(name), release.types[owner].get(name)
    return found is not None and (element is None or found.type == element.type)


def _of_fields(fields: Mapping[str, Tree], owner: str, release: Release, *, is_outer: bool) -> Iterator[Tree]:
    row = release.types[owner]
    for name in dict.fromkeys(name.removeprefix("_") for name in fields):
        url = Made(url_of(owner, name, release) if is_outer else release.without_type(owner, name), RULE)
        values, siblings = as_list(fields.get(name)), as_list(fields.get(f"_{name}"))
        for index in range(max(len(values), len(siblings))):
            value = values[index] if index < len(values) else None
            sibling = siblings[index] if index < len(siblings) else None
            yield {"url": url, **_content(value, sibling, row[name], release)}


def _content(value: Tree, sibling: Tree, element: Element, release: Release) -> dict[str, Tree]:
    """Return the fields of one extension beside its URL; those of a backbone type are extensions themselves."""
    if isinstance(value, dict) and "." in element.type:
        own = {name: field for name, field in value.items() if name in ("id", "_id", "extension")}
        inside = {name: value[name] for name in value if name not in own}
        nested = list(_of_fields(inside, element.type, release, is_outer=False))
        inner = [*as_list(own.pop("extension", None)), *nested]
        return {**own, **({"extension": inner} if inner else {})}
    found = {value_name(element.type): value, f"_{value_name(element.type)}": sibling}
    return {name: content for name, content in found.items() if content is not None}
