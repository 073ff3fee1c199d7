"""VKP R4 to Journalføringstjenesten (JFT): which of its three endpoints takes the message, and in what form."""

import re
from dataclasses import replace

from translators.contract import Call, Message, Reason, Refused, Settings, Tree
from translators.document import lone_entry, seed_of, wrapped
from translators.fhir.invariants import objects
from translators.fhir.json_codec import encode
from translators.made import settled

SERVICE = "jft"
_TAKEN = frozenset({"Bundle", "Composition", "MedicationDispense"})
_WRAPPED_AT = "Bundle.entry[1].resource"
"""Where a document that is made has the resource that it is made for."""
_WRAPPED = frozenset({"Encounter", "Communication", "DetectedIssue"})
_ANSWERS = frozenset({"searchset", "history", "batch-response", "transaction-response"})
_CHANGES = frozenset({"PUT", "PATCH", "DELETE", "GET", "HEAD"})
"""What the request of an entry asks for that is not to add something new."""
_OPERATION = re.compile(r"(?:^|/)[$_][^/]*$")
"""How an address ends at which a POST adds nothing: an operation, or a search (FHIR R4, http.html)."""
_WHO_AND_WHERE = frozenset(
    {"Device", "Location", "Organization", "Patient", "Practitioner", "PractitionerRole", "RelatedPerson"}
)
"""Resources of which JFT makes no event, so that it does no harm where there is one already."""


def addressed(message: Message, settings: Settings) -> Message:
    """Return the message as one of the three resources that JFT takes (NHN's JFT WriteAPI page).

    An Encounter or Communication alone goes as a document around it. Raises `Refused` for what cannot go at all.
    """
    kind = str(message.tree["resourceType"])
    if kind in _TAKEN:
        _refuse_what_is_not_new(message.tree)
        return message
    if kind not in _WRAPPED:
        raise Refused(Reason.UNSUPPORTED, "JFT takes Bundle, Composition and MedicationDispense", kind)
    seed = seed_of(message.tree)
    tree = wrapped([lone_entry(message.tree, seed)], settings)
    found = settled(tree)
    coverage = replace(message.coverage, derived=message.coverage.derived + found.leaves)
    moved = [replace(one, path=f"{_WRAPPED_AT}{one.path.removeprefix(kind)}") for one in message.derived]
    return replace(message, tree=tree, derived=(*moved, *found.derived), coverage=coverage)


def _refuse_what_is_not_new(tree: dict[str, Tree]) -> None:
    """Raise `Refused` for a Bundle that answers, or that changes or takes back: JFT makes a new event of all that it gets."""
    if tree["resourceType"] != "Bundle":
        return
    if tree.get("type") in _ANSWERS:
        raise Refused(Reason.FORMAT, "an answer is no journaling", "Bundle.type")
    for index, entry in enumerate(objects(tree.get("entry"))):
        resource, request = entry.get("resource"), entry.get("request")
        held = resource if isinstance(resource, dict) else {}
        if held.get("resourceType") == "MessageHeader" and "response" in held:
            raise Refused(Reason.FORMAT, "an answer is no journaling", f"Bundle.entry[{index}].resource.response")
        if isinstance(request, dict) and (found := _not_new(request, str(held.get("resourceType")))) is not None:
            raise Refused(Reason.UNSUPPORTED, found[1], f"Bundle.entry[{index}].request.{found[0]}")


def _not_new(request: dict[str, Tree], kind: str) -> tuple[str, str] | None:
    """Return which element of a request asks for something else than to add this type of resource, and why it is refused."""
    if request.get("method") in _CHANGES:
        return "method", (
            "it changes or takes back what was sent before, which is not sent on: a person has to correct the record"
        )
    if _OPERATION.search(str(request.get("url")).partition("?")[0].rstrip("/")):
        return "url", "it asks for an operation or a search, which no journaling is"
    if "ifNoneExist" in request and kind not in _WHO_AND_WHERE:
        return "ifNoneExist", "it is to be added only where there is none yet, and nobody can look whether there is one"
    return None


def calls(message: Message, settings: Settings) -> tuple[Call, ...]:
    """Return the request that submits the message (`POST /v1/<type>`, NHN's JFT WriteAPI page)."""
    headers = [("Content-Type", "application/json")]
    if settings.source_system:
        headers.append(("nhn-source-system", settings.source_system))
    return (Call(SERVICE, "POST", f"/v1/{message.tree['resourceType']}", tuple(headers), encode(message.tree)),)
