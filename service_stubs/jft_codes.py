"""What JFT may check of codes, if it does: NHN documents that a MedicationDispense is a successful one, and names VKP's tables."""

from collections.abc import Iterator
from typing import Any, Literal

from service_stubs.problems import Fault

Codes = Literal["known", "any"]
"""`known`: non-successful dispenses and codes that VKP's tables of today do not have are refused; `any`: they pass."""

_PREFIX = "http://ehelse.no/fhir/CodeSystem/vkp-"
_ALERTS = (
    "1 1.1 1.2 1.3 1.4 1.5 1.6 1.7 1.8 1.9 1.10 1.11 1.12 1.13 1.14 1.15 1.16 1.17 1.18 1.19 1.20 1.21 1.22 1.23 2 3 "
    "4 4.1 4.2 4.3 4.4 4.5 4.6 4.7 4.8 4.9 4.10 4.11 4.12 4.13 4.14 4.15 4.16 4.17 4.18 4.19 4.20 4.21 4.22 4.23 4.24 "
    "4.25 4.26 5 5.1 5.2 5.2.1 5.2.2 5.2.3 5.3 5.3.1 5.3.2 6 7 7.1"
)
_TABLES = {
    f"{_PREFIX}{name}": frozenset(codes.split())
    for name, codes in {
        "alert-code-v090": _ALERTS,
        "composition-category-v090": "1 2",
        "composition-event-v090": "0 1 3 4 5 6 7 8 9 10",
        "composition-section-v090": "1 1.1 1.2 1.3 2",
        "encounter-class-v090": "0 1 2 3 4",
        "encounter-mode-v090": "0 1 2 3 4",
        "encounter-reason-v090": "1 2",
        "medicationdispense-events-v090": "1 1.1 1.2 1.3 2 2.1 2.2 3",
        "severity-level-v090": "0 10 20 30 40",
    }.items()
}
"""The tables of 2025-11-18 in github.com/HL7Norway/Velferdsteknologi, written down anew for this double."""


def code_faults(resource: dict[str, Any]) -> list[Fault]:
    """Return what is no code of today's tables, and what makes a MedicationDispense none of a successful dispensing."""
    kind = str(resource.get("resourceType"))
    faults = [
        Fault(path, f"not a code of {coding['system'].rpartition('/')[2]}")
        for path, coding in _objects(resource, kind)
        if coding.get("system") in _TABLES and coding.get("code") not in _TABLES[coding["system"]]
    ]
    if kind == "MedicationDispense":
        faults += _dispense_faults(resource)
    return faults


def _dispense_faults(dispense: dict[str, Any]) -> Iterator[Fault]:
    if dispense.get("status") != "completed":
        yield Fault("MedicationDispense.status", "only a completed dispense is one")
    for name in ("category", "performer"):
        if not dispense.get(name):
            yield Fault(f"MedicationDispense.{name}", "is missing")


def _objects(value: Any, path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    stack = [(path, value)]
    while stack:
        at, found = stack.pop()
        if isinstance(found, dict):
            if isinstance(found.get("system"), str) and "code" in found:
                yield f"{at}.code", found
            stack += [(f"{at}.{name}", below) for name, below in found.items()]
        elif isinstance(found, list):
            stack += [(f"{at}[{index}]", below) for index, below in enumerate(found)]
