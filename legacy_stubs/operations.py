"""The operations of VKP's R4 and STU3 interfaces and how leniently their paths and bodies are read."""

import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from legacy_stubs.outcomes import invalid_format

_WRITES = {
    resource_type.lower(): resource_type
    for resource_type in ("Bundle", "Composition", "MedicationDispense", "Encounter", "Communication")
}
_SEARCHES = {
    resource_type.lower(): resource_type
    for resource_type in (
        "Patient",
        "EpisodeOfCare",
        "CarePlan",
        "Composition",
        "Condition",
        "AllergyIntolerance",
        "MedicationStatement",
    )
}
_STU3_SEARCHES = {name.lower(): name for name in ("Patient", "EpisodeOfCare", "Composition")}
"""Of the CapabilityStatement of 2019, with `read`."""
_STU3_WRITES = {"bundle": "Bundle", "$process-message": "Bundle", "encounter": "Encounter"}


@dataclass(frozen=True)
class Operation:
    """What a path asks for: journaling (write) or retrieval (read) of a resource type for a municipality."""

    municipality: str
    """Its orgnr (R4) or HER-id (STU3)."""
    resource_type: str
    right: str
    is_stu3: bool = False
    resource_id: str | None = None
    """Of a read."""
    service: str | None = None
    """Of SOAP: the last segment of the path; the body says what is asked for, and for which municipality."""


def find_operation(method: str, target: str) -> Operation | None:
    """Recognise an operation in any letter case, with or without a trailing slash; None if there is none."""
    path = unquote(target.partition("?")[0]).lower()
    match [method, *(part for part in path.split("/") if part)]:
        case ["POST", "epj", "r4", municipality, resource] if resource in _WRITES:
            return Operation(municipality, _WRITES[resource], "write")
        case ["POST", "epj", "r4", municipality, resource, "_search"] if resource in _SEARCHES:
            return Operation(municipality, _SEARCHES[resource], "read")
        case ["POST", "epj", "stu3", municipality, resource] if resource in _STU3_WRITES:
            return Operation(municipality, _STU3_WRITES[resource], "write", is_stu3=True)
        case ["GET", "epj", "stu3", municipality, resource] if resource in _STU3_SEARCHES:
            return Operation(municipality, _STU3_SEARCHES[resource], "read", is_stu3=True)
        case ["GET", "epj", "stu3", municipality, resource, resource_id] if resource in _STU3_SEARCHES:
            return Operation(municipality, _STU3_SEARCHES[resource], "read", True, resource_id)
        case ["POST", "ws", "v1", ("journalforing" | "innhenting") as service]:
            return Operation("", "", "write" if service == "journalforing" else "read", service=service)
        case _:
            return None


def read_journaling(resource_type: str, body: bytes) -> dict[str, Any]:
    """Return the resource; refuse only what VKP cannot read at all; faults such as an object instead of an array or empty text pass."""
    try:
        resource = json.loads(body.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise invalid_format("the body is not JSON") from error
    if not isinstance(resource, dict) or resource.get("resourceType") != resource_type:
        raise invalid_format(f"the body is not a {resource_type}")
    return resource
