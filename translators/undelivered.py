"""Messages that are acknowledged and delivered nowhere: the note of an event that its own class says is not to be journaled."""

from collections.abc import Callable

from translators.contract import Reason, Refused, Settings
from translators.source import Cursor

_BESIDE_A_NOTE = frozenset(
    {
        "Composition",
        "Device",
        "Location",
        "Organization",
        "Patient",
        "Practitioner",
        "PractitionerRole",
        "RelatedPerson",
    }
)
"""Resources that only say who and where; every other one is something that happened."""


def is_not_to_be_journaled(
    resources: list[Cursor], class_of: Callable[[Cursor], Cursor | None], settings: Settings
) -> bool:
    """Tell whether a message of these resources is to be acknowledged and delivered nowhere.

    `class_of` returns the place in a Composition that says so, or None. Raises `Refused` where the settings say so, and where the
    message has anything else in it: of that nobody said that it is not to be journaled.
    """
    notes = {id(at): class_of(at) for at in resources if at.text("resourceType") == "Composition"}
    places = [place for place in notes.values() if place is not None]
    if not places:
        return False
    if settings.not_to_be_journaled == "refuse":
        raise Refused(Reason.UNSUPPORTED, "an event that is not to be journaled, as its class says", places[0].path)
    for at in resources:
        if at.text("resourceType") not in _BESIDE_A_NOTE or notes.get(id(at), at) is None:
            text = "an event that is not to be journaled and something else in one message"
            raise Refused(Reason.FORMAT, text, at.path)
    return True
