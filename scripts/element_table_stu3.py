"""Makes translators/fhir/stu3_elements.json from the models of fhir.resources (STU3, 3.0.2).

    python scripts/element_table_stu3.py translators/fhir/stu3_elements.json

The models are generated from HL7's StructureDefinitions. 3.0.2 corrects texts of 3.0.1 and no element. The package ships no
R4, and the one that `element_tables.py` reads no STU3.
"""

import importlib
import json
import pkgutil
import sys
import typing
from collections import deque
from pathlib import Path
from typing import Any

import fhir.resources.STU3
from fhir.resources.STU3 import get_fhir_model_class

# What the models add for their own use. STU3 has no type MetadataResource.
NOT_ELEMENTS = {"fhir_comments"}
NOT_TYPES = {"FHIRResourceModel", "MetadataResource"}

Model = Any
Row = dict[str, str]


def main() -> None:
    """Write the table to the file in the first argument."""
    target = Path(sys.argv[1])
    primitives: set[str] = set()
    types: dict[str, Row] = {}
    choices: dict[str, dict[str, list[str]]] = {}
    for model in _types():
        _add(types, choices, primitives, model)
    named = {kind.removesuffix("*") for row in types.values() for kind in row.values()}
    if unknown := named - primitives - set(types):
        raise SystemExit(f"not in the table, though elements name them: {sorted(unknown)}")
    head = f'{{"release": "3.0.2",\n"primitives": {json.dumps(sorted(primitives))},\n"choices": {{\n'
    target.write_text(f'{head}{_lines(choices)}}},\n"types": {{\n{_lines(types)}\n}}}}\n', encoding="utf-8")
    print(f"{len(types)} types, {len(primitives)} primitives -> {target}")


def _lines(rows: dict[str, Any]) -> str:
    return ",\n".join(f"{json.dumps(name)}: {json.dumps(row)}" for name, row in sorted(rows.items()))


def _types() -> list[Model]:
    """Return the model of every type that is no backbone of another: those have a module of their own."""
    found: list[Model] = []
    for module in pkgutil.iter_modules(fhir.resources.STU3.__path__):
        if module.ispkg:
            continue
        content = vars(importlib.import_module(f"{fhir.resources.STU3.__name__}.{module.name}"))
        found += [value for name, value in content.items() if name.lower() == module.name and isinstance(value, type)]
    return [model for model in found if model.__name__ not in NOT_TYPES]


def _add(types: dict[str, Row], choices: dict[str, dict[str, list[str]]], primitives: set[str], root: Model) -> None:
    """Put a type, and the backbone types inside it, into the table.

    A backbone's model is named after its path. A path that leads to a model of another name is a content reference, as
    Bundle.entry.link is to Bundle.link.
    """
    paths: dict[str, str] = {root.__name__: root.__name__}
    pending = deque([root])
    rows: dict[str, dict[str, tuple[str, str]]] = {}
    while pending:
        model = pending.popleft()
        row = rows[paths[model.__name__]] = {}
        if chosen := _choices(model):
            choices[paths[model.__name__]] = chosen
        for name, annotation in _fields(model):
            kind, repeats = _kind(annotation)
            row[name] = (kind, repeats)
            if kind[0].islower():
                primitives.add(kind)
                continue
            path = f"{paths[model.__name__]}.{name}"
            if kind not in paths and kind == "".join(part[0].upper() + part[1:] for part in path.split(".")):
                paths[kind] = path
                pending.append(get_fhir_model_class(kind))
    for path, row in rows.items():
        types[path] = {name: paths.get(kind, kind) + repeats for name, (kind, repeats) in row.items()}


def _fields(model: Model) -> list[tuple[str, Any]]:
    """Return the elements in the order of the definition, by their names in JSON, with the annotations of their types."""
    fields = {
        str(field.alias): field.annotation
        for name, field in model.model_fields.items()
        if not name.endswith("__ext") and name not in NOT_ELEMENTS
    }
    # A choice between two kinds of references stands twice in the models' lists.
    order = list(dict.fromkeys(model.elements_sequence()))
    if sorted(order) != sorted(fields):
        raise SystemExit(f"{model.__name__}: {sorted(set(order) ^ set(fields))} are in one list of the model only")
    return [(name, fields[name]) for name in order]


def _choices(model: Model) -> dict[str, list[str]]:
    """Return the elements that are one choice, as `value[x]`: in JSON each of its types has a name of its own."""
    found: dict[str, list[str]] = {}
    for name in dict.fromkeys(model.elements_sequence()):
        field = next(field for field in model.model_fields.values() if field.alias == name)
        if isinstance(field.json_schema_extra, dict) and (stem := field.json_schema_extra.get("one_of_many")):
            found.setdefault(f"{stem}[x]", []).append(name)
    return found


def _kind(annotation: Any) -> tuple[str, str]:
    """Return an element's type by the name of its model, or of the primitive, and whether it repeats."""
    repeats = ""
    while typing.get_origin(annotation) is not None:
        if typing.get_origin(annotation) is typing.Annotated:
            mark = type(annotation.__metadata__[-1]).__name__
            return mark[0].lower() + mark[1:], repeats
        if typing.get_origin(annotation) is list:
            repeats = "*"
        annotation = next(kind for kind in typing.get_args(annotation) if kind is not type(None))
    if annotation is bool:
        return "boolean", repeats
    return annotation.get_model_klass().__name__, repeats


if __name__ == "__main__":
    main()
