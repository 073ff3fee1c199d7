"""A ledger with messages in it, for the admin port that tests talk to."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from gateway.ledger import audit, shares
from gateway.ledger.crypto import LookupHasher, PayloadCipher
from gateway.ledger.key_files import Keys
from gateway.ledger.messages import Ledger
from gateway.ledger.records import Arrival, Taken
from gateway.ledger.tables import MESSAGE
from gateway.model import RequestHead
from gateway.outbox.order import sealed
from tests.gateway.office import NOW
from translators.contract import Call

if TYPE_CHECKING:
    from sqlalchemy import Row

    from gateway.ledger.database import Database
    from gateway.ledger.shares import NewShare
    from tests.gateway.office import Browser, Office, Page

PATIENT = "12834010060"
OTHER_PATIENT = "30714510343"
SECRET = "what the message says"
BODY = f'{{"text": "{SECRET}"}}'.encode()
CALL = Call("jft", "POST", "/Communication", (("Content-Type", "application/fhir+json"),), b"\xff\x00" + BODY)
WHY = {"reason": "Ringt avsender"}
DECIDE = [
    ("/api/v1/messages/one/resend", "message.resend", "held"),
    ("/api/v1/quarantine/one/release", "quarantine.release", "held"),
    ("/api/v1/quarantine/one/discard", "quarantine.discard", "discarded"),
]
OPERATE = [
    *((path, WHY) for path, _, _ in DECIDE),
    ("/api/v1/messages/one/payload", WHY),
    ("/api/v1/messages/search", {"patient": PATIENT}),
    ("/api/v1/forget", {"patient": PATIENT, **WHY}),
]


@dataclass
class Shelf:
    """The ledger behind an office, and what is in it."""

    office: Office
    ledger: Ledger
    keys: Keys

    async def message(self, reference: str, patient: str = PATIENT, **changed: Any) -> int:
        """Have a message arrive that is being delivered; its id."""
        values: dict[str, Any] = {
            "received_at": self.office.clock.now,
            "surface": "vkp-r4",
            "municipality": "nordfjell",
            "sender": "Evondos_Nordfjell",
            "vendor": "evondos",
            "system": "e300",
            "information": "varsel",
            "upstream": "jft",
            "patient": self.keys.lookup.hash("patient", patient),
            "identity": None,
            "copy": f"hash-of-{reference}",
            "promised": True,
            "resend_unclear": False,
            "acknowledge_within": 60.0,
            **changed,
        }
        head = RequestHead("POST", "/epj/r4/312229544/bundle", ((b"Content-Type", b"application/json"),))
        found = await self.ledger.arrive(
            Arrival(reference=reference, **values),
            lambda name: sealed(self.keys.vault, name, head, BODY, CALL),
            until=self.office.clock.now + 30,
            window=1000.0,
        )
        assert isinstance(found, Taken), found
        return found.id

    async def quarantined(self, reference: str, **changed: Any) -> int:
        """Have a message come into quarantine, since nobody knows whether it was delivered."""
        message = await self.message(reference, **changed)
        assert await self.ledger.quarantined(message, "unclear")
        return message

    async def delivered(
        self, reference: str, *, overdue: bool = False, share: NewShare | None = None, **changed: Any
    ) -> int:
        """Have a message delivered, and perhaps something to be shared of it."""
        message = await self.message(reference, **changed)
        if share is not None:
            note = partial(
                shares.note, message=message, reference=reference, municipality="nordfjell", new=share, now=NOW
            )
            await self.ledger.store.write(note)
        assert await self.ledger.delivered(message, f"event-{reference}", "Communication", next_poll=0)
        if overdue:
            assert await self.ledger.overdue(message, "not read")
        return message

    async def row(self, reference: str) -> Row[Any]:
        """Return all that is written of a message."""
        statement = select(MESSAGE).where(MESSAGE.c.reference == reference)
        return await self.ledger.store.read(lambda each: each.execute(statement).one())

    async def audited(self) -> list[audit.Note]:
        """Return what the audit says, the oldest first."""
        found = await self.ledger.store.read(lambda each: audit.entries(each, 1000))
        return [entry.note for entry in reversed(found)]


def shelf_of(office: Office, store: Database, node: str = "node-a") -> Shelf:
    """Give an admin port a ledger."""
    keys = Keys(PayloadCipher({"key": b"p" * 32}, "key"), LookupHasher(b"l" * 32))
    ledger = Ledger(store, node, office.clock)
    office.port.ledger.use(ledger, keys, office.config)
    return Shelf(office, ledger, keys)


async def post(browser: Browser, path: str, body: object) -> Page:
    """Send JSON from a page's own session."""
    return await browser.ask("POST", path, json=body, headers={"X-CSRF-Token": await browser.csrf()})


def at(moment: float) -> str:
    """Return a time as a parameter has it."""
    return datetime.fromtimestamp(moment, UTC).isoformat()


def holds_nothing(text: str) -> bool:
    """Tell whether a text has nothing that a message says, no number and no hash."""
    return not any(word in text for word in (PATIENT, OTHER_PATIENT, SECRET, "hash-of-"))


def error(page: Page) -> tuple[int, str, str]:
    """Return a refusal."""
    return page.status, page.json["code"], page.json["detail"]
