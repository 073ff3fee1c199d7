"""JFT's event store: messages as exact text, their lifecycle and their metadata."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import msgspec

from service_stubs.api_access import Caller

TAG_SYSTEM = "https://fhir.jft.nhn.no"
ACKNOWLEDGED_TAG = (f"{TAG_SYSTEM}/journaling-acknowledged", "true")

_MAX_EVENTS = 10_000


@dataclass
class Event:
    """A submitted message; times are seconds since the epoch, None until the stage is reached."""

    id: str
    resource_type: str
    text: str
    caller: Caller
    source_system: str | None
    sequence: int
    registered: float
    read: float | None = None
    acknowledged: float | None = None

    def status(self) -> dict[str, str | None]:
        """Return the status object: the three stages with offset and second precision."""
        return {
            "registered": _time(self.registered),
            "read": _time(self.read),
            "journalingAcknowledged": _time(self.acknowledged),
        }

    def tags(self) -> Sequence[tuple[str, str]]:
        """Return system and code of the tags that JFT adds to `meta`."""
        tags = [
            (f"{TAG_SYSTEM}/parent-organization-number", self.caller.orgnr_parent),
            (f"{TAG_SYSTEM}/source-client-id", self.caller.client_id),
            (f"{TAG_SYSTEM}/source-client-name", self.caller.client_name or ""),
            (f"{TAG_SYSTEM}/source-system-name", self.source_system or ""),
        ]
        acknowledged = [ACKNOWLEDGED_TAG] if self.acknowledged is not None else []
        return [tag for tag in (*tags, *acknowledged) if tag[1]]

    def resource(self) -> bytes:
        """Return the message as submitted, with JFT's id and metadata; every other element keeps its exact text."""
        elements = msgspec.json.decode(self.text, type=dict[str, msgspec.Raw])
        meta = msgspec.json.decode(elements.get("meta", b"{}"), type=dict[str, msgspec.Raw])
        own_tags = msgspec.json.decode(meta.get("tag", b"[]"), type=list[msgspec.Raw])
        tags: list[Any] = [*own_tags, *({"system": system, "code": code} for system, code in self.tags())]
        last_updated = datetime.fromtimestamp(self.registered, UTC).isoformat(timespec="milliseconds")
        new_meta = {**meta, "lastUpdated": last_updated, "tag": tags}
        return msgspec.json.encode({**elements, "id": self.id, "meta": new_meta})


class EventStore:
    """Events in order of arrival; the oldest are forgotten when there are too many."""

    def __init__(self) -> None:
        self._events: dict[str, Event] = {}
        self._count = 0

    def add(self, event_type: str, text: str, caller: Caller, source_system: str | None, now: float) -> Event:
        """Register a message."""
        self._count += 1
        event = Event(str(uuid4()), event_type, text, caller, source_system, self._count, now)
        self._events[event.id] = event
        if len(self._events) > _MAX_EVENTS:
            del self._events[next(iter(self._events))]
        return event

    def find(self, resource_type: str, event_id: str, orgnr_parent: str) -> Event | None:
        """Return an event of this municipality, None if there is no such."""
        event = self._events.get(event_id)
        if event is None or event.resource_type != resource_type or event.caller.orgnr_parent != orgnr_parent:
            return None
        return event

    def of_municipality(self, resource_type: str, orgnr_parent: str) -> Iterable[Event]:
        """Return a municipality's events of one type, oldest first."""
        return [
            event
            for event in self._events.values()
            if event.resource_type == resource_type and event.caller.orgnr_parent == orgnr_parent
        ]


def _time(value: float | None) -> str | None:
    return None if value is None else datetime.fromtimestamp(value, UTC).isoformat(timespec="seconds")
