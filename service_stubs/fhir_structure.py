"""An independent check of FHIR R4 structure by the models of fhir.resources, imported only when it is first needed."""

import datetime as dt
import decimal
import typing
from collections.abc import Iterator
from functools import cache
from typing import Any

from service_stubs.problems import Fault

_MAX_FAULTS = 50


def structure_faults(resource: dict[str, Any]) -> list[Fault]:
    """Find unknown elements, wrong cardinality, missing elements, wrong types and codes outside closed lists."""
    resource_type = str(resource.get("resourceType"))
    try:
        model = _model_class(resource_type).model_validate(resource)
    except LookupError:
        return [Fault("resourceType", "not a resource of FHIR R4")]
    except ValueError as error:
        return [_fault(resource_type, details) for details in _errors(error)][:_MAX_FAULTS]
    return list(_faults_beyond_model(model, resource, resource_type))[:_MAX_FAULTS]


def _model_class(resource_type: str) -> Any:
    from fhir.resources.R4B import get_fhir_model_class  # noqa: PLC0415 - takes seconds and is not always needed

    return get_fhir_model_class(resource_type)


def _errors(error: ValueError) -> list[dict[str, Any]]:
    errors = getattr(error, "errors", None)
    return errors(include_url=False, include_input=False) if errors else [{"loc": (), "msg": "not valid FHIR R4"}]


def _fault(resource_type: str, details: dict[str, Any]) -> Fault:
    steps = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in details["loc"])
    return Fault(f"{resource_type}{steps}", str(details["msg"]))


def _faults_beyond_model(model: Any, tree: dict[str, Any], path: str) -> Iterator[Fault]:
    """Find what the models let pass: numbers and booleans as text, times as numbers, unknown codes, bare narrative."""
    for field in type(model).model_fields.items():
        name = field[1].alias or field[0]
        if name not in tree:
            continue
        value, child = tree[name], getattr(model, field[0])
        for index, item in enumerate(value) if isinstance(value, list) else [(None, value)]:
            item_path = f"{path}.{name}" if index is None else f"{path}.{name}[{index}]"
            if isinstance(item, dict):
                yield from _faults_beyond_model(child if index is None else child[index], item, item_path)
            elif message := _primitive_fault(field[1], name, item):
                yield Fault(item_path, message)


def _primitive_fault(field: Any, name: str, value: Any) -> str | None:
    codes = _codes(field)
    if codes and value not in codes:
        return "not a code of its value set"
    if name == "div" and not str(value).startswith("<div"):
        return "not an XHTML div"
    json_types = _json_types(field.annotation)
    if json_types and (type(value) not in json_types):
        return f"must be a JSON {' or '.join(kind.__name__ for kind in json_types)}"
    return None


def _codes(field: Any) -> frozenset[str]:
    """Return the closed list of a required binding; the models mark an abridged list by a plus sign."""
    extra = field.json_schema_extra or {}
    codes = frozenset(extra.get("enum_values", ())) if isinstance(extra, dict) else frozenset()
    return frozenset() if "+" in codes else codes


def _json_types(annotation: Any) -> tuple[type, ...]:
    """Tell the JSON types of a primitive FHIR element; empty if the models already see to it."""
    base = _innermost(annotation)
    if base is bool:
        return (bool,)
    if base is int:
        return (int,)
    if base is decimal.Decimal:
        return (int, float)
    if isinstance(base, type) and issubclass(base, dt.date | dt.time):
        return (str,)
    return ()


@cache
def _innermost(annotation: Any) -> Any:
    """Unwrap Optional, List and Annotated."""
    arguments = [argument for argument in typing.get_args(annotation) if argument is not type(None)]
    return _innermost(arguments[0]) if arguments else annotation
