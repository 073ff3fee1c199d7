"""What the demo's story begins with: a month of traffic that never was, counted in a ledger that has nothing yet."""

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

from sqlalchemy import Connection, func, select

from gateway.config.model import Config, Sender
from gateway.errors import StartupError
from gateway.ledger import decision_log, findings, rehearsals, traffic
from gateway.ledger.database import LedgerUnavailable, open_store
from gateway.ledger.decision_log import PastDecision
from gateway.ledger.rehearsals import RehearsalVerdict
from gateway.ledger.tables import DECISION
from gateway.ledger.traffic import day_of
from gateway.model import GOES_NEW, Envelope, Information, Mode
from gateway.routing.table import RouteTable

FAULTY = "MedicationDispense.batteryLevel"
"""What one vendor's dispenses have and FHIR does not: VKP lets it pass, and the new service would lose it."""
_DETAIL = "not an element of FHIR R4 here"
_HOUR, _DAY = 3600, 86_400
_DAYS = 30
_DAYS_OF_ROWS = 3
"""For which every message is told; before that they are only counted."""
_DAYS_OF_REHEARSALS = 7
_BY_HOUR = (1, 1, 1, 1, 1, 2, 5, 9, 10, 8, 6, 6, 7, 6, 5, 5, 6, 8, 9, 8, 6, 4, 3, 2)
"""How a day's messages spread over its hours, UTC."""
_BY_VENDOR = {
    "dignio": {Information.MEDISINERING: 46, Information.MALEDATA: 38, Information.NOTAT: 34},
    "skyresponse": {Information.VARSEL: 42, Information.TILSYN: 36},
    "evondos": {Information.MEDISINERING: 40},
    "tryggnett": {Information.MEDISINERING: 44, Information.VARSEL: 36},
}
"""Messages of one sender in a day."""
_MOVED = {"nordfjell": 9, "havnes": 24, "myrvik": 13, "lundeby": 5, "ostvik": 18}
"""Days since a municipality's messages went another way than to VKP."""
FAULTY_VENDOR = "tryggnett"
_FAULTY_PART = 0.3


@dataclass
class _Written:
    """What is put into the ledger."""

    decisions: list[PastDecision] = field(default_factory=list)
    counted: list[tuple[float, traffic.Counted, traffic.Numbers]] = field(default_factory=list)
    rehearsed: Counter[rehearsals.CountedVerdict] = field(default_factory=Counter)
    found: dict[findings.CountedFinding, findings.Times] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Message:
    at: float
    sender: Sender
    municipality: str
    information: Information
    is_faulty: bool


async def write_history(config: Config, table: RouteTable, folder: Path, now: float) -> None:
    """Put a month before `now` into the ledger, unless messages have been there; raises `StartupError`."""
    store = open_store(config.store, folder, patience=5.0)
    try:
        if not await store.read(lambda each: each.execute(select(func.count()).select_from(DECISION)).scalar()):
            written = _written(config, table, now)
            await store.write(lambda connection: _put(connection, written))
    except LedgerUnavailable as error:
        raise StartupError(f"store: {error}") from None
    finally:
        await store.close()


def _put(connection: Connection, written: _Written) -> None:
    decision_log.write(connection, written.decisions)
    traffic.add(connection, written.counted)
    rehearsals.add(connection, written.rehearsed)
    findings.add(connection, written.found)


def _written(config: Config, table: RouteTable, now: float) -> _Written:
    draw, written = random.Random(2026), _Written()  # noqa: S311 - a story, the same each time
    for message in _messages(config, now, draw):
        decision = table.decide(_envelope(message, draw.random()), datetime.fromtimestamp(message.at, UTC))
        if decision.mode in (None, Mode.CLOSED):
            continue
        before = now - message.at > _MOVED.get(message.municipality, _DAYS) * _DAY
        mode = Mode.LEGACY if before and decision.mode is not Mode.REHEARSE else decision.mode
        row = _row(message, mode, str(decision.route.place) if decision.route else None, draw)
        if now - message.at < _DAYS_OF_ROWS * _DAY:
            written.decisions.append(row)
        else:
            written.counted += decision_log.counted([row])
        if mode is Mode.REHEARSE and now - message.at < _DAYS_OF_REHEARSALS * _DAY:
            _rehearse(message, row.reference, written)
    return written


def _messages(config: Config, now: float, draw: random.Random) -> Iterator[_Message]:
    whole = sum(_BY_HOUR)
    first = int(now // _HOUR) * _HOUR - _DAYS * _DAY
    for sender in config.senders:
        (municipality,) = sender.municipalities if sender.municipalities and len(sender.municipalities) == 1 else ("",)
        for information, in_a_day in _BY_VENDOR.get(sender.vendor, {}).items() if municipality else ():
            for hour in range(_DAYS * 24):
                start = first + hour * _HOUR
                wanted = in_a_day * _BY_HOUR[start // _HOUR % 24] / whole
                for _ in range(int(wanted + draw.random())):
                    is_faulty = (
                        sender.vendor == FAULTY_VENDOR
                        and information is Information.MEDISINERING
                        and draw.random() < _FAULTY_PART
                    )
                    yield _Message(start + draw.random() * _HOUR, sender, municipality, information, is_faulty)


def _envelope(message: _Message, share: float) -> Envelope:
    sender = message.sender
    named = (message.municipality, sender.key, sender.vendor, sender.system, message.information)
    return Envelope("vkp-r4", *named, share=share)


def _row(message: _Message, mode: Mode, route: str | None, draw: random.Random) -> PastDecision:
    sender = message.sender
    is_new = mode in GOES_NEW
    return PastDecision(
        at=message.at,
        reference=str(UUID(int=draw.getrandbits(128), version=4)),
        surface="vkp-r4",
        municipality=message.municipality,
        sender=sender.key,
        vendor=sender.vendor,
        system=sender.system,
        information=message.information.value,
        mode=mode.value,
        layer="routes",
        rule=None,
        route=route,
        outcome="accepted" if is_new else "passed",
        seconds=round(0.02 + draw.expovariate(12), 3),
    )


def _rehearse(message: _Message, reference: str, written: _Written) -> None:
    sender = message.sender
    named = (message.municipality, sender.vendor, sender.system, message.information.value)
    verdict, reason = RehearsalVerdict.CLEAN, ""
    if message.is_faulty:
        verdict, reason = RehearsalVerdict.REFUSED, f"loss: would be lost: {FAULTY}"
        one = findings.CountedFinding(day_of(message.at), *named, "loss", "loss", FAULTY, _DETAIL)
        times = written.found.setdefault(one, findings.Times(0, message.at, message.at, reference))
        times.messages, times.last = times.messages + 1, max(times.last, message.at)
        times.first = min(times.first, message.at)
    hour = rehearsals.hour_of(message.at)
    written.rehearsed[rehearsals.CountedVerdict(hour, *named, verdict.value, reason)] += 1
