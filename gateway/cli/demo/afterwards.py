"""What the demo waits for before its traffic, and looks at afterwards: what comparisons found, and what was shared with PMD."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import msgspec

from gateway.cli.demo.stage import Stage
from gateway.cli.demo.traffic import TrafficOutcome
from gateway.cli.ledger_reader import NoLedger, Unreadable, read
from gateway.config.model import Municipality
from gateway.config.upstreams import PmdUpstream, of_kind
from gateway.ledger import comparisons
from gateway.ledger.comparisons import ComparisonOutcome
from gateway.model import Information, Mode
from gateway.replica import status

_PATIENCE, _PAUSE = 60, 0.5
"""How often, and after how many seconds, is looked again: both are done after a sender has its answer."""
PLANTED = ("Patient.address.city different", "Patient.identifier missing, accepted")
"""In what PIT's patient of the compared searches is not as VKP's record has it: only the record system has a number of its own."""


@dataclass(frozen=True, slots=True)
class Aftermath:
    """One thing that was looked at, and what was found."""

    name: str
    found: tuple[str, ...]
    as_expected: bool
    note: str
    """What was expected; empty where it was so."""


async def copied(stage: Stage) -> None:
    """Wait until what compared searches are asked of is there: else they would find that the new side does not answer."""
    wanted = {route.municipality for route in stage.config.routes if route.mode is Mode.COMPARE}
    known = [one for name, one in stage.config.municipalities.items() if name in wanted]
    copies = {(one.key, "pit") for one in known} | {(one.key, "okt") for one in known if _asks_okt(one)}

    async def look() -> tuple[bool, tuple[str, ...]]:
        try:
            found = await asyncio.to_thread(
                read,
                stage.config.store,
                Path(stage.config.file).parent,
                lambda each: status.copies(each, {}, time.time()),
            )
        except (NoLedger, Unreadable):
            return False, ()
        return copies <= {(one.municipality, one.source) for one in found if one.state == "answers"}, ()

    await _until(look)


def _asks_okt(municipality: Municipality) -> bool:
    return municipality.services_from is not None and municipality.services_from.file is None


async def looked_at(stage: Stage, outcomes: Iterable[TrafficOutcome]) -> list[Aftermath]:
    """Return what comparisons and the sharing of measurements came to, once all of the traffic is in it."""
    sent = list(outcomes)
    return [await _compared(stage, sent), await _shared(stage, sent)]


async def _compared(stage: Stage, sent: list[TrafficOutcome]) -> Aftermath:
    wanted = sum(one.mode == Mode.COMPARE for one in sent)
    folder = Path(stage.config.file).parent

    async def look() -> tuple[bool, tuple[str, ...]]:
        try:
            cells, known = await asyncio.to_thread(
                read,
                stage.config.store,
                folder,
                lambda each: (comparisons.summary(each, since=0), comparisons.known_differences(each, since=0)),
            )
        except (NoLedger, Unreadable):
            return not wanted, ()
        answered = sum(one.count(*ComparisonOutcome) for one in cells)
        failed = sum(one.tried - one.compared for one in cells)
        told = {f"{one.path} {one.kind}{', accepted' if one.is_accepted else ''}" for one in known}
        return answered >= wanted, (*sorted(told), *([f"not answered {failed}"] if failed else []))

    found = await _until(look)
    expected = PLANTED if wanted else ()
    return Aftermath(
        "comparison",
        found,
        found == expected,
        "" if found == expected else f"expected: {'; '.join(expected) or 'nothing'}",
    )


async def _shared(stage: Stage, sent: list[TrafficOutcome]) -> Aftermath:
    pmd = of_kind(PmdUpstream, stage.config.upstreams.values())
    measured = [one for one in sent if one.information == Information.MALEDATA and one.receiver == "jft"]
    wanted = sum(pmd is not None and _is_shared(stage, one) for one in measured)
    if pmd is None:
        return Aftermath("sharing with PMD", (), not wanted, "")

    async def look() -> tuple[bool, tuple[str, ...]]:
        async with aiohttp.ClientSession() as session, session.get(f"{pmd.url}/stub/received") as answer:
            bundles = msgspec.json.decode(await answer.read())
        told = [f"{one['kommunenummer']}: {len(one['observations'])} measured" for one in bundles]
        return len(bundles) >= wanted, tuple(told)

    found = await _until(look)
    note = "" if len(found) == wanted else f"expected {wanted} bundles"
    return Aftermath("sharing with PMD", found, not note, note)


def _is_shared(stage: Stage, outcome: TrafficOutcome) -> bool:
    routes = (one for one in stage.config.routes if one.municipality == outcome.municipality)
    return any(one.share_with and one.information and Information.MALEDATA in one.information for one in routes)


async def _until(look: Callable[[], Awaitable[tuple[bool, tuple[str, ...]]]]) -> tuple[str, ...]:
    """Return what is found once all of it is there; after a while, what there is."""
    for _ in range(_PATIENCE):
        is_whole, found = await look()
        if is_whole:
            return found
        await asyncio.sleep(_PAUSE)
    return found
