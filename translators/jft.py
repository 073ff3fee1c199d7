"""VKP R4 to Journalføringstjenesten (JFT): which of its three endpoints takes the message, and in what form."""

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
    tree = wrapped([lone_entry(message.tree, seed)], seed, settings)
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
        request = entry.get("request")
        if isinstance(request, dict) and request.get("method") in _CHANGES:
            text = "it changes or takes back what was sent before, which is not sent on: a person has to correct the record"
            raise Refused(Reason.UNSUPPORTED, text, f"Bundle.entry[{index}].request.method")


def calls(message: Message, settings: Settings) -> tuple[Call, ...]:
    """Return the request that submits the message (`POST /v1/<type>`, NHN's JFT WriteAPI page)."""
    headers = [("Content-Type", "application/json")]
    if settings.source_system:
        headers.append(("nhn-source-system", settings.source_system))
    return (Call(SERVICE, "POST", f"/v1/{message.tree['resourceType']}", tuple(headers), encode(message.tree)),)
