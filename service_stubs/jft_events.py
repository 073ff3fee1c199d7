"""JFT's event store: messages as exact text, their lifecycle and their metadata."""

import hashlib
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal
from uuid import uuid4

import msgspec

from service_stubs.api_access import Caller

TAG_SYSTEM = "https://fhir.jft.nhn.no"
ACKNOWLEDGED_SYSTEM = f"{TAG_SYSTEM}/journaling-acknowledged"

StatusField = Literal["journalingAcknowledged", "journaled"]
"""What the status calls the last stage: the name of NHN's page, or the older one."""


@dataclass
class Event:
    """A submitted message; times are seconds since the epoch, None until the stage is reached."""

    id: str
    resource_type: str
    text: str | None
    """None where it is too long ago to be found by a search."""
    business_id: str | None
    sha256: str
    caller: Caller
    source_system: str | None
    sequence: int
    registered: float
    acknowledged_code: str
    """The code of the tag that says so, which NHN does not document."""
    changed: float
    """When JFT last changed it, which is what `_lastUpdated` is about: reading and acknowledging move it."""
    read: float | None = None
    acknowledged: float | None = None
    failed: float | None = None
    """When it was lost after it was accepted: it is found by no search, and only the older form of the status says so."""

    @property
    def place(self) -> tuple[float, int]:
        """Where it stands among others: by when JFT last changed it, and of those of one moment as they came."""
        return self.changed, self.sequence

    def be_read(self, now: float) -> None:
        """Note that a record system has read it; the first time counts."""
        if self.read is None:
            self.read = self.changed = now

    def acknowledge(self, now: float) -> None:
        """Note that a record system has journaled it; the first time counts."""
        if self.acknowledged is None:
            self.acknowledged = self.changed = now

    def status(self, field: StatusField) -> dict[str, str | None]:
        """Return the status object: the three stages with offset and second precision, the last under this name."""
        status = {"registered": _time(self.registered), "read": _time(self.read), field: _time(self.acknowledged)}
        return {**status, "failed": _time(self.failed)} if field == "journaled" else status

    def summary(self) -> dict[str, str | None]:
        """Return what `GET /stub/events` shows of it."""
        return {
            "id": self.id,
            "resource_type": self.resource_type,
            "orgnr_parent": self.caller.orgnr_parent,
            "business_id": self.business_id,
            "sha256": self.sha256,
            "registered": _time(self.registered),
            "read": _time(self.read),
            "acknowledged": _time(self.acknowledged),
        }

    def tags(self) -> Sequence[tuple[str, str]]:
        """Return system and code of the tags that JFT adds to `meta`."""
        tags = [
            (f"{TAG_SYSTEM}/parent-organization-number", self.caller.orgnr_parent),
            (f"{TAG_SYSTEM}/source-client-id", self.caller.client_id),
            (f"{TAG_SYSTEM}/source-client-name", self.caller.client_name or ""),
            (f"{TAG_SYSTEM}/source-system-name", self.source_system or ""),
        ]
        acknowledged = [(ACKNOWLEDGED_SYSTEM, self.acknowledged_code)] if self.acknowledged is not None else []
        return [tag for tag in (*tags, *acknowledged) if tag[1]]

    def resource(self) -> bytes:
        """Return the message as submitted, with JFT's id and metadata; every other element keeps its exact text."""
        elements = msgspec.json.decode(self.text or "{}", type=dict[str, msgspec.Raw])
        meta = msgspec.json.decode(elements.get("meta", b"{}"), type=dict[str, msgspec.Raw])
        own_tags = msgspec.json.decode(meta.get("tag", b"[]"), type=list[msgspec.Raw])
        tags: list[Any] = [*own_tags, *({"system": system, "code": code} for system, code in self.tags())]
        last_updated = datetime.fromtimestamp(self.changed, UTC).isoformat(timespec="milliseconds")
        new_meta = {**meta, "lastUpdated": last_updated, "tag": tags}
        return msgspec.json.encode({**elements, "id": self.id, "meta": new_meta})


class EventStore:
    """Events in order of arrival; when there are too many, the texts of the oldest are forgotten, and then they themselves."""

    def __init__(
        self, acknowledged_code: str = "true", *, max_events: int = 50_000, max_text: int = 64_000_000
    ) -> None:
        """`max_text` counts the characters of messages that can be searched."""
        self._acknowledged_code = acknowledged_code
        self._max_events = max_events
        self._max_text = max_text
        self._events: dict[str, Event] = {}
        self._with_text: deque[Event] = deque()
        self._length = 0
        self._count = 0

    def __iter__(self) -> Iterator[Event]:
        return iter(self._events.values())

    def add(self, event_type: str, text: str, caller: Caller, source_system: str | None, now: float) -> Event:
        """Register a message."""
        self._count += 1
        event = Event(
            id=str(uuid4()),
            resource_type=event_type,
            text=text,
            business_id=_business_id(text),
            sha256=hashlib.sha256(text.encode()).hexdigest(),
            caller=caller,
            source_system=source_system,
            sequence=self._count,
            registered=now,
            acknowledged_code=self._acknowledged_code,
            changed=now,
        )
        self._events[event.id] = event
        self._with_text.append(event)
        self._length += len(text)
        while self._length > self._max_text and len(self._with_text) > 1:
            self._forget_text()
        if len(self._events) > self._max_events:
            oldest = self._events.pop(next(iter(self._events)))
            if oldest is self._with_text[0]:
                self._forget_text()
        return event

    def named(self, event_id: str) -> Event | None:
        """Return an event of any municipality."""
        return self._events.get(event_id)

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
            if event.resource_type == resource_type
            and event.caller.orgnr_parent == orgnr_parent
            and event.text is not None
            and event.failed is None
        ]

    def _forget_text(self) -> None:
        oldest = self._with_text.popleft()
        self._length -= len(oldest.text or "")
        oldest.text = None


class _Identified(msgspec.Struct):
    identifier: Any = None


def _business_id(text: str) -> str | None:
    """Return the value of the first identifier that the resource itself has."""
    found = msgspec.json.decode(text, type=_Identified).identifier
    first = found[0] if isinstance(found, list) and found else found
    value = first.get("value") if isinstance(first, dict) else None
    return value if isinstance(value, str) else None


def _time(value: float | None) -> str | None:
    return None if value is None else datetime.fromtimestamp(value, UTC).isoformat(timespec="seconds")
