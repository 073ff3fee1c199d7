"""VKP R4 to Journalføringstjenesten (JFT): which of its three endpoints takes the message, and in what form."""

from dataclasses import replace

from translators.contract import Call, Message, Reason, Refused, Settings
from translators.document import lone_entry, seed_of, wrapped
from translators.fhir.json_codec import encode
from translators.made import settled

SERVICE = "jft"
_TAKEN = frozenset({"Bundle", "Composition", "MedicationDispense"})
_WRAPPED_AT = "Bundle.entry[1].resource"
"""Where a document that is made has the resource that it is made for."""
_WRAPPED = frozenset({"Encounter", "Communication", "DetectedIssue"})


def addressed(message: Message, settings: Settings) -> Message:
    """Return the message as one of the three resources that JFT takes (NHN's JFT WriteAPI page).

    An Encounter or Communication alone goes as a document around it. Raises `Refused` for what cannot go at all.
    """
    kind = str(message.tree["resourceType"])
    if kind in _TAKEN:
        return message
    if kind not in _WRAPPED:
        raise Refused(Reason.UNSUPPORTED, "JFT takes Bundle, Composition and MedicationDispense", kind)
    seed = seed_of(message.tree)
    tree = wrapped([lone_entry(message.tree, seed)], seed, settings)
    found = settled(tree)
    coverage = replace(message.coverage, derived=message.coverage.derived + found.leaves)
    moved = [replace(one, path=f"{_WRAPPED_AT}{one.path.removeprefix(kind)}") for one in message.derived]
    return replace(message, tree=tree, derived=(*moved, *found.derived), coverage=coverage)


def calls(message: Message, settings: Settings) -> tuple[Call, ...]:
    """Return the request that submits the message (`POST /v1/<type>`, NHN's JFT WriteAPI page)."""
    headers = [("Content-Type", "application/json")]
    if settings.source_system:
        headers.append(("nhn-source-system", settings.source_system))
    return (Call(SERVICE, "POST", f"/v1/{message.tree['resourceType']}", tuple(headers), encode(message.tree)),)
