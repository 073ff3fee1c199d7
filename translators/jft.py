"""VKP R4 to Journalføringstjenesten (JFT): which of its three endpoints takes the message, and in what form."""

from translators.contract import Call, Message, Reason, Refused, Settings
from translators.fhir.json_codec import encode

SERVICE = "jft"
_TAKEN = frozenset({"Bundle", "Composition", "MedicationDispense"})
_ALONE = frozenset({"Encounter", "Communication"})


def calls(message: Message, settings: Settings) -> tuple[Call, ...]:
    """Return the request that submits the message (`POST /v1/<type>`, NHN's JFT WriteAPI page).

    Raises `Refused` for a resource that JFT has no endpoint for.
    """
    kind = message.tree["resourceType"]
    if kind in _ALONE:
        raise Refused(Reason.UNSUPPORTED, f"{kind} alone cannot be sent to JFT yet", str(kind))
    if kind not in _TAKEN:
        raise Refused(Reason.UNSUPPORTED, "JFT takes Bundle, Composition and MedicationDispense", str(kind))
    headers = [("Content-Type", "application/json")]
    if settings.source_system:
        headers.append(("nhn-source-system", settings.source_system))
    return (Call(SERVICE, "POST", f"/v1/{kind}", tuple(headers), encode(message.tree)),)
