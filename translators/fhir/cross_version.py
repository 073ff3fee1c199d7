"""HL7's cross-version extensions: every element of every release has one (FHIR R4, versions.html#extensions)."""

from collections.abc import Iterator, Mapping

from translators.contract import Made, Tree
from translators.fhir.elements import Element, Release
from translators.fhir.plan import value_name

RULE = "kept-in-extension"
"""The repair of an element that the target has no place for; the extension's URL is derived by it."""

_VERSIONS = {"STU3": "3.0", "R4": "4.0"}


def extensions(kept: Mapping[str, Tree], owner: str, release: Release) -> list[Tree]:
    """Return the extensions that hold these elements of a type, for where R4 has no place for them.

    `kept` has them by the names of `release`, their types already as R4 writes them; a primitive's `_name` goes along.
    """
    stem = f"http://hl7.org/fhir/{_VERSIONS[release.name]}/StructureDefinition/extension-{owner}."
    return list(_of_fields(kept, owner, release, stem))


def _of_fields(fields: Mapping[str, Tree], owner: str, release: Release, stem: str) -> Iterator[Tree]:
    row = release.types[owner]
    for name in dict.fromkeys(name.removeprefix("_") for name in fields):
        values, siblings = _items(fields.get(name)), _items(fields.get(f"_{name}"))
        for index in range(max(len(values), len(siblings))):
            value = values[index] if index < len(values) else None
            sibling = siblings[index] if index < len(siblings) else None
            yield {"url": Made(stem + name, RULE), **_content(value, sibling, row[name], release)}


def _content(value: Tree, sibling: Tree, element: Element, release: Release) -> dict[str, Tree]:
    """Return the fields of one extension beside its URL; those of a backbone type are extensions themselves."""
    if isinstance(value, dict) and "." in element.type:
        own = {name: field for name, field in value.items() if name in ("id", "_id", "extension")}
        nested = list(_of_fields({name: value[name] for name in value if name not in own}, element.type, release, ""))
        inner = [*_items(own.pop("extension", None)), *nested]
        return {**own, **({"extension": inner} if inner else {})}
    found = {value_name(element.type): value, f"_{value_name(element.type)}": sibling}
    return {name: content for name, content in found.items() if content is not None}


def _items(value: Tree) -> list[Tree]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]
