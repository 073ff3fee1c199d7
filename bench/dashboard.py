"""The overview of a whole country: its first byte, its size, and what an update of a live page takes, of one municipality too."""

import asyncio
import random
import re
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path
from statistics import median

import aiohttp
from msgspec import structs
from prometheus_client import CollectorRegistry
from sqlalchemy import Connection, insert

from bench.processes import BenchFailed
from bench.report import Findings, Goal, Table
from bench.scene import Scene
from gateway.admin.cutover_access import By
from gateway.admin.municipalities import Municipalities
from gateway.admin.overview import OverviewQuery
from gateway.admin.pages.overview import OverviewPages
from gateway.admin.pages.words import Names, Words
from gateway.admin.replica import Copies
from gateway.admin.server import AdminPort
from gateway.auth.people.principal import LoginMethod, Principal
from gateway.auth.people.rbac import Grant
from gateway.config.load import load
from gateway.config.model import Config, Role
from gateway.ledger import decision_log, traffic
from gateway.ledger.crypto import LookupHasher, PayloadCipher
from gateway.ledger.database import open_store
from gateway.ledger.decision_log import PastDecision
from gateway.ledger.key_files import Keys
from gateway.ledger.messages import Ledger
from gateway.ledger.tables import DECISION
from gateway.migration.simulation import invented
from gateway.model import JOURNALING
from gateway.routing.table import RouteTable
from gateway.times import Clock

_MUNICIPALITIES = 400
_DAYS = 14
_FIRST_BYTE, _SIZE, _UPDATE = 0.2, 300_000, 0.02
_AT_ONCE = 5_000
_TURNS = 15
_COME = 20
"""Messages since the last look: as many as two seconds bring where the country sends ten a second."""
_SHARED = 1.05
"""Seconds: what was read is shared for one."""
_SEED = 7
_HEAD = 'environment: test\nlisten: {data: "127.0.0.1:1", admin: "127.0.0.1:PORT"}\nsunset: {ends: 2028-06-30}'
_SHARES = (("legacy", 0.55), ("rehearse", 0.25), ("new", 0.2))


@dataclass(frozen=True, slots=True)
class _Country:
    config: Config
    table: RouteTable
    port: AdminPort
    ledger: Ledger
    municipalities: Municipalities
    url: str
    cookie: str


def measure(scene: Scene) -> Findings:
    """Fill a ledger with 100,000 messages and with 1,000,000, and look."""
    tables, goals = [], []
    for messages in (100_000, 1_000_000):
        with scene.cores.lent():
            first, size, fresh, update, place, again = asyncio.run(
                _measured(scene.folder / f"country-{messages}", messages)
            )
        rows = (
            ("first byte", f"{first * 1000:.0f} ms", f"median of {_TURNS}, with the page's facts read each time"),
            ("size", f"{size / 1000:.0f} kB", f"{_MUNICIPALITIES} rows, not compressed"),
            ("after a change of routes", f"{fresh * 1000:.0f} ms", "every cell is decided again, every row made again"),
            (
                "update of a live page",
                f"{update * 1000:.1f} ms of CPU",
                "of this process, with messages since the last",
            ),
            ("update of a municipality's page", f"{place * 1000:.1f} ms of CPU", "of this process, likewise"),
            ("for each who looks at it too", f"{again * 1000:.1f} ms of CPU", "what was read is shared"),
        )
        title = f"Overview with {_MUNICIPALITIES} municipalities and {messages:,} messages in {_DAYS} days"
        tables.append(Table(title, ("", "", ""), rows))
        if messages == 100_000:
            goals = [
                Goal("overview: first byte", f"under {_FIRST_BYTE * 1000:.0f} ms", rows[0][1], first < _FIRST_BYTE),
                Goal("overview: size", f"under {_SIZE // 1000} kB", rows[1][1], size < _SIZE),
                Goal("overview: update", f"under {_UPDATE * 1000:.0f} ms of CPU", rows[3][1], update < _UPDATE),
                Goal("municipality: update", f"under {_UPDATE * 1000:.0f} ms of CPU", rows[4][1], place < _UPDATE),
            ]
    return Findings("dashboard", tuple(tables), tuple(goals))


async def _measured(folder: Path, messages: int) -> tuple[float, int, float, float, float, float]:
    async with country(folder, messages) as found, aiohttp.ClientSession(headers={"Cookie": found.cookie}) as http:
        await _get(http, found.url)
        firsts, size = [], 0
        for _ in range(_TURNS):
            await asyncio.sleep(_SHARED)
            first, size = await _get(http, found.url)
            firsts.append(first)
        again = RouteTable.compile(found.config)
        found.port.report.use(lambda: again)
        fresh, _ = await _get(http, found.url)
        updates = [await _updated(found) for _ in range(_TURNS)]
        places = [await _updated_place(found) for _ in range(_TURNS)]
        first, again = (median(each) for each in zip(*places, strict=True))
        return median(firsts), size, fresh, median(updates), first, again


async def _get(http: aiohttp.ClientSession, url: str) -> tuple[float, int]:
    began = time.perf_counter()
    async with http.get(url) as answer:
        first = time.perf_counter() - began
        if answer.status != 200:
            raise BenchFailed(f"the overview answers {answer.status}")
        return first, len(await answer.read())


async def _updated(found: _Country) -> float:
    """Return the CPU time of this process for one look of a live page, after some messages have come."""
    now, chance = time.time(), random.Random(_SEED)  # noqa: S311 - made-up messages
    rows = _decisions(found.config, _COME, chance, now, 0)
    await found.ledger.store.write(lambda each: decision_log.write(each, rows))
    await asyncio.sleep(_SHARED)
    who = Principal(LoginMethod.DEV_LOGIN, ("x",), "x", (Grant(Role.VIEWER),))
    pages, says = OverviewPages(found.port.board, found.port.overview), Words("nb", now, Names.of(found.config))
    before = await found.port.overview.seen_by(By(who, ("x",)), OverviewQuery())
    pages.rows(before, says)
    rows = _decisions(found.config, _COME, chance, now, 0)
    await found.ledger.store.write(lambda each: decision_log.write(each, rows))
    await asyncio.sleep(_SHARED)
    began = time.process_time()
    after = await found.port.overview.seen_by(By(who, ("x",)), OverviewQuery())
    pages.rows(after, says)
    return time.process_time() - began


async def _updated_place(found: _Country) -> tuple[float, float]:
    """Return the CPU time of this process for one look of a municipality's live page, and for another person's right after it."""
    now, chance = time.time(), random.Random(_SEED)  # noqa: S311 - made-up messages
    who = Principal(LoginMethod.DEV_LOGIN, ("x",), "x", (Grant(Role.VIEWER),))
    pages, key = found.municipalities, next(iter(found.config.municipalities))
    await pages.now_of(who, key)
    rows = _decisions(found.config, _COME, chance, now, 0)
    await found.ledger.store.write(lambda each: decision_log.write(each, rows))
    await asyncio.sleep(_SHARED)
    # Whoever looks at the overview has had what is common read.
    await found.port.overview.facts()
    took = []
    for _ in range(2):
        began = time.process_time()
        await pages.now_of(who, key)
        took.append(time.process_time() - began)
    return took[0], took[1]


@asynccontextmanager
async def country(folder: Path, messages: int, municipalities: int = _MUNICIPALITIES) -> AsyncIterator[_Country]:
    """Serve the admin port of an invented country whose ledger has so many messages, to whoever logs in."""
    config, table = await asyncio.to_thread(_configured, folder, municipalities)
    store = await asyncio.to_thread(open_store, "sqlite:///ledger.db", folder)
    clock = Clock()
    ledger = Ledger(store, "bench", clock)
    keys = Keys(PayloadCipher({"k": b"k" * 32}, "k"), LookupHasher(b"l" * 32))
    await _fill(ledger, config, messages)
    port = AdminPort(CollectorRegistry(), dev_login=True, clock=clock)
    number = await port.start(config)
    port.ledger.use(ledger, keys, config)
    port.report.use(lambda: table)
    url = f"http://127.0.0.1:{number}"
    try:
        async with aiohttp.ClientSession() as http:
            pages = Municipalities(port.ledger, port.overview, Copies(port.ledger))
            yield _Country(config, table, port, ledger, pages, f"{url}/", await _logged_in(http, url))
    finally:
        await port.stop()
        await store.close()


def _configured(folder: Path, municipalities: int) -> tuple[Config, RouteTable]:
    folder.mkdir(parents=True, exist_ok=True)
    text = invented(municipalities, _SEED, date(2026, 1, 1)).text
    chance = random.Random(_SEED)  # noqa: S311 - likewise
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        head = _HEAD.replace("PORT", str(free.getsockname()[1]))
    routes = []
    for name in re.findall(r"^  (k\d+): \{name", text, re.MULTILINE):
        mode = chance.choices([mode for mode, _ in _SHARES], [share for _, share in _SHARES])[0]
        if mode != "legacy":
            routes.append(f"  - {{municipality: {name}, information: [journaling], mode: {mode}}}")
    (folder / "routes.yaml").write_text("\n".join([head, text, *routes, ""]), encoding="utf-8")
    loaded = load(str(folder / "routes.yaml"))
    if loaded.config is None or loaded.table is None:
        raise BenchFailed(f"the country is refused: {loaded.problems[0]}")
    return loaded.config, loaded.table


async def _fill(ledger: Ledger, config: Config, messages: int) -> None:
    """Write messages, and what they are counted by: at once at the end, which takes a fraction of the time."""
    chance, now = random.Random(_SEED), time.time()  # noqa: S311 - likewise
    known = await ledger.store.read(lambda each: sum(one.numbers.messages for one in traffic.cells(each, 0.0)))
    sums: dict[tuple[int, int, traffic.Counted], traffic.Numbers] = {}
    for _ in range(known, messages, _AT_ONCE):
        rows = _decisions(config, _AT_ONCE, chance, now, _DAYS)
        values = [structs.asdict(row) for row in rows]
        await ledger.store.write(partial(_insert, values=values))
        for row in rows:
            counted = traffic.Counted(
                str(row.municipality), str(row.vendor), str(row.system), str(row.information), "legacy"
            )
            failed, took = int(row.outcome in traffic.FAILED), row.seconds or 0.0
            for span, start in ((traffic.HOUR, int(row.at // 3600) * 3600), (traffic.DAY, traffic.day_of(row.at))):
                if span == traffic.DAY or row.at > now - traffic.KEPT_BY_HOUR:
                    numbers = traffic.Numbers(1, failed, took, took, last=row.at)
                    sums.setdefault((span, start, counted), traffic.Numbers()).add(numbers)
    await ledger.store.write(partial(traffic.write, sums=sums))


def _insert(connection: Connection, values: list[dict[str, object]]) -> None:
    connection.execute(insert(DECISION), values)


def _decisions(config: Config, number: int, chance: random.Random, now: float, days: int) -> list[PastDecision]:
    senders, types = config.senders, [each.value for each in sorted(JOURNALING)][:4]
    found = []
    for each in range(number):
        sender = chance.choice(senders)
        (place,) = sender.municipalities or (next(iter(config.municipalities)),)
        at = now - chance.random() * days * 86_400
        outcome = "passed" if chance.random() < 0.99 else "loss"
        named = (place, sender.key, sender.vendor, sender.system, chance.choice(types))
        row = PastDecision(at, f"b-{each}", "vkp-r4", *named, "legacy", "routes", None, "routes.yaml:1:1", outcome)
        found.append(structs.replace(row, seconds=chance.random() / 5))
    return found


async def _logged_in(http: aiohttp.ClientSession, url: str) -> str:
    own = {"Origin": url, "Sec-Fetch-Site": "same-origin"}
    form = {"roles": "viewer"}
    async with http.post(f"{url}/dev-login", data=form, headers=own, allow_redirects=False) as answer:
        if answer.status != 303:
            raise BenchFailed(f"nobody can log in: {answer.status} {await answer.text()}")
        return "; ".join(f"{name}={one.value}" for name, one in answer.cookies.items())
