"""What VKP is documented to need of a journaling: the required elements of its profiles, and right national numbers."""

from collections.abc import Iterator
from typing import Any, Literal

from legacy_stubs.outcomes import RefusedError, invalid_format
from service_stubs.national_numbers import SYSTEMS, has_valid_check_digits

Checks = Literal["documented", "form"]
"""`documented`: what its profiles and pages need; `form`: only that it can be read. How far VKP goes is not known."""

_NEEDED = {"MedicationDispense": ("category", "performer"), "Composition": ("subject",)}
"""vkp-MedicationDispense-v090 and -v06, vkp-Composition-v090: minimum 1."""
_EVENTS = frozenset({"MedicationDispense", "LocationMeasurement", "CameraObservation", "PatientComposition"})
"""vkp-message-event."""


def check_message(message: Any) -> None:
    """Raise RefusedError for a journaling that lacks what VKP needs."""
    for resource in _resources(message):
        kind = str(resource.get("resourceType"))
        for name in _NEEDED.get(kind, ()):
            if resource.get(name) in (None, "", [], {}):
                raise invalid_format(f"{kind}.{name} is missing")
        for name in ("subject", "patient"):
            for reference in _objects(resource.get(name)):
                _check_numbers(reference)
        if kind == "Patient":
            _check_numbers(resource)


def check_envelope(bundle: Any, header: Any, sender: str, receiver: str) -> None:
    """Raise RefusedError unless an STU3 message is one, of a known event, from its sender and for its receiver."""
    if not isinstance(bundle, dict) or bundle.get("type") != "message":
        raise invalid_format("Bundle.type is not message")
    if _text(header, "event", "code") not in _EVENTS:
        raise invalid_format("MessageHeader.event is none that VKP knows")
    if _text(header, "receiver", "identifier", "value") != receiver:
        raise RefusedError(400, "2.2", "Mottakeren er ugyldig.", "MessageHeader.receiver is not whom the address names")
    if _text(header, "sender", "identifier", "value") != sender:
        raise RefusedError(403, "1.4", "Avsenderen er ugyldig.", "MessageHeader.sender is not the token's")


def _check_numbers(holder: dict[str, Any]) -> None:
    for identifier in _objects(holder.get("identifier")):
        number = str(identifier.get("value", "")).strip()
        if identifier.get("system") in SYSTEMS and not has_valid_check_digits(number):
            raise RefusedError(400, "2.1", "Personidentifikatoren er ugyldig.", "not a valid national number")


def _resources(message: Any) -> Iterator[dict[str, Any]]:
    for resource in _objects(message):
        yield resource
        for entry in _objects(resource.get("entry")):
            yield from _objects(entry.get("resource"))


def _objects(value: Any) -> list[dict[str, Any]]:
    return [one for one in (value if isinstance(value, list) else [value]) if isinstance(one, dict)]


def _text(value: Any, *names: str) -> str:
    for name in names:
        found = _objects(value)
        value = found[0].get(name) if found else None
    return str(value or "").strip()
