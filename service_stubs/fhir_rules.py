"""Bindings and invariants of FHIR R4, from a file that `scripts/double_rules.py` makes of HL7's definitions."""

import json
from collections.abc import Iterator
from functools import cache
from importlib import resources
from typing import Any

from service_stubs.fhirpath import Node, NotSupported, holds

_WITHOUT_DOMAIN = {"Bundle", "Binary", "Parameters"}


@cache
def _rules() -> dict[str, Any]:
    text = resources.files("service_stubs").joinpath("fhir_r4_rules.json").read_text(encoding="utf-8")
    rules: dict[str, Any] = json.loads(text)
    return rules


def code_fault(owner: str, name: str, value: Any) -> str | None:
    """Return what is wrong with a coded element of a type, if a required binding lists its codes."""
    codes = _rules()["codes"].get(f"{owner}.{name}")
    if codes is None:
        return None
    if isinstance(value, str):
        is_one = any(value in listed for listed in codes.values())
    else:
        codings = value.get("coding", []) if isinstance(value, dict) and "coding" in value else [value]
        is_one = any(_is_listed(coding, codes) for coding in codings) or ("coding" not in value and "code" not in value)
    return None if is_one else "not a code of its value set"


def _is_listed(coding: Any, codes: dict[str, list[str]]) -> bool:
    return isinstance(coding, dict) and coding.get("code") in codes.get(coding.get("system", ""), [])


def invariant_faults(place: str, value: Any, resource: Any, root: Any) -> Iterator[str]:
    """Find the invariants of a type, or of one element of a type, that do not hold for a value."""
    for key, expression in _rules()["invariants"].get(place, []):
        try:
            is_right = holds(expression, Node(value), Node(resource), Node(root))
        except NotSupported:
            continue
        if not is_right:
            yield f"invariant {key} does not hold"


def resource_faults(kind: str, value: Any, root: Any) -> Iterator[str]:
    """Find the invariants of every resource that do not hold for this one."""
    if kind not in _WITHOUT_DOMAIN:
        yield from invariant_faults("DomainResource", value, value, root)
