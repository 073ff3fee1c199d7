"""`python -m bench.copy_of_pit`: in a process of its own, reads the double of PIT alone, fills a copy, and searches it; prints JSON."""

import asyncio
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import urlencode
from urllib.request import Request, urlopen

from joserfc.jwk import ECKey
from sqlalchemy import Connection

from bench.scene import CLIENT_ID
from bench.stats import percentile
from gateway.auth.helseid.access_tokens import TokenEndpoint, TokenSource
from gateway.auth.helseid.client_assertion import ClientIdentity
from gateway.auth.helseid.dpop import DpopProver
from gateway.auth.helseid.http import HelseIdHttp
from gateway.auth.helseid.issuer import Issuer
from gateway.config.model import Epj, Municipality, ServicesFrom
from gateway.config.upstreams import Breaker, PitUpstream, ReadScopes, ServiceStatus
from gateway.ledger.crypto import LookupHasher, PayloadCipher
from gateway.ledger.database import Database, open_store
from gateway.model import Information, Place
from gateway.proxy.http_client import Caller
from gateway.replica import feeds
from gateway.replica.patient_seal import PatientSeal
from gateway.replica.patient_source import Freshness, PatientSource
from gateway.replica.patients import CopiedNumbers
from gateway.replica.service_source import Needs
from gateway.replica.services import ServiceSeal, replace_all
from gateway.replica.sweep import Sweep, write_feed
from gateway.replica.sync import PatientSync
from gateway.replica.window import EVER
from gateway.runtime.node import calm_collector
from gateway.surfaces.search import PatientKey, Search
from gateway.times import Clock
from gateway.upstreams.circuit_breaker import CircuitBreaker
from gateway.upstreams.page_process import PageProcess
from gateway.upstreams.pit import ANSWER_LIMIT, PitClient
from gateway.upstreams.service_caller import ServiceCaller
from service_stubs.people import number_of
from translators.contract import Call
from translators.pit import PATH
from translators.services import Service

ORGNR = "312229544"
LIST = 500
"""Patients with the service that the list is of."""
SCOPE = "nhn:pit/api.read"
PAGE_TIME = 0.005
"""Seconds that a service takes for a page which has to be looked up; the double has its pages ready."""
_PLACE = Place("bench", 1, 1)
_EVERY = 60.0
_LIVE_FOR_EVER = 1e9


@dataclass
class Measured:
    """What was measured; times in seconds, CPU of this process alone but for `sync_pages_cpu`."""

    pages: int = 0
    alone: float = 0.0
    sync: float = 0.0
    sync_cpu: float = 0.0
    sync_pages_cpu: float = 0.0
    """Of the process that reads pages."""
    memory_before: float = 0.0
    """MB, resident."""
    memory_first: float = 0.0
    """After the first tenth."""
    memory_most: float = 0.0
    search_cpu: float = 0.0
    """Of one search, nothing else going on."""
    searches: float = 0.0
    """A second, beside the filling of another generation."""
    search_p50: float = 0.0
    search_p99: float = 0.0
    listed: float = 0.0
    paced_alone: float = 0.0
    """As `alone`, where every page takes PIT `PAGE_TIME`."""
    paced_sync: float = 0.0


def memory(*others: int | None) -> float:
    """Return the resident memory of this process and of others in MB."""
    of = ("self", *(one for one in others if one is not None))
    return sum(int(Path(f"/proc/{one}/statm").read_text().split()[1]) * 4096 / 1e6 for one in of)


def _cpu_of(pid: int) -> float:
    """Return the seconds of CPU that another process has used."""
    user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def _municipality() -> Municipality:
    epj = Epj("A", new_generation=False, reads=("jft",), feeds=("pit",))
    return Municipality("bench", "Bench", ORGNR, (), epj, _PLACE, services_from=ServicesFrom("services.csv", _PLACE))


async def _read_alone(caller: ServiceCaller) -> tuple[int, float]:
    """Read every page, and look at nothing but where the next one is."""
    began, pages = time.perf_counter(), 0
    query = urlencode({"_lastUpdated": f"ge{EVER}", "_sort": "_lastUpdated", "_count": 50})
    while query:
        answer = await caller.ask(Call("pit", "GET", f"{PATH}?{query}", (), b""), ORGNR, SCOPE, 30.0)
        following = answer.body.partition(b'"relation":"next","url":"')[2].partition(b'"')[0].decode()
        query = following.partition("?")[2]
        pages += 1
    return pages, time.perf_counter() - began


def _give_every_core(pages: PageProcess) -> None:
    if pages.pid is not None:
        os.sched_setaffinity(pages.pid, range(os.cpu_count() or 1))


async def _fill(sync: PatientSync, pages: PageProcess, found: Measured) -> None:
    """Fill the copy; the process that reads pages has every core, as the system would have it."""
    own = os.sched_getaffinity(0)
    began, cpu = time.perf_counter(), time.process_time()
    found.memory_before = memory()
    while await sync.step() == 0:
        size = memory(pages.pid)
        _give_every_core(pages)
        found.memory_first = found.memory_first or (size if time.perf_counter() - began > 1.0 else 0.0)
        found.memory_most = max(found.memory_most, size)
    found.sync, found.sync_cpu = time.perf_counter() - began, time.process_time() - cpu
    if pages.pid is None:
        raise RuntimeError("no process read the pages")
    found.sync_pages_cpu = _cpu_of(pages.pid)
    os.sched_setaffinity(pages.pid, own)  # searches beside it are measured with all of it on one core


async def _fill_at_a_pace(
    url: str, caller: ServiceCaller, sync: PatientSync, pages: PageProcess, found: Measured
) -> None:
    """Read every page from a service that needs its time for each, then fill a copy from it."""
    await _behave(url, PAGE_TIME)
    _, found.paced_alone = await _read_alone(caller)
    began = time.perf_counter()
    while await sync.step() == 0:
        _give_every_core(pages)
    found.paced_sync = time.perf_counter() - began
    await _behave(url, 0.0)


async def _behave(url: str, delay: float) -> None:
    body = json.dumps({"delay": delay, "times": -1}).encode()
    request = Request(f"{url}/stub/behaviour", body, method="POST")  # noqa: S310 - our own
    with await asyncio.to_thread(urlopen, request, timeout=30):
        pass


async def _have_services(store: Database, seal: ServiceSeal, clock: Clock, count: int) -> list[int]:
    """Give every patient a service, and some a safety alarm; returns these."""
    having = [index * (count // LIST) for index in range(LIST)]
    alarms, of = frozenset(having), {}
    for index in range(count):
        number = number_of(index)
        services = [Service(iplos=6 if index in alarms else 27)]
        of[seal.hash("bench", number)] = seal.seal("bench", number, services)
    now = clock()

    def work(connection: Connection) -> None:
        replace_all(connection, "bench", "file", now, of)
        write_feed(connection, "bench", "file", Sweep(now, now, "", len(of), now))

    await store.write(work)
    return having


async def _search(source: PatientSource, sync: PatientSync, having: list[int], seconds: float, found: Measured) -> None:
    """Search 1,000 times a second while everything is read anew."""
    municipality, taken = _municipality(), []
    searches = [_by(number_of(one)) for one in having]

    async def one(index: int) -> None:
        began = time.perf_counter()
        if len(await source.find(searches[index % LIST], municipality)) != 1:
            raise RuntimeError("a patient was not found")
        taken.append(time.perf_counter() - began)

    cpu = time.process_time()
    for index in range(LIST):
        await one(index)
    found.search_cpu = (time.process_time() - cpu) / LIST
    taken.clear()
    filling = asyncio.get_running_loop().create_task(_for_ever(sync.step))
    began, tasks = time.perf_counter(), []
    for index in range(int(1000 * seconds)):
        if (early := began + index / 1000 - time.perf_counter()) > 0:
            await asyncio.sleep(early)
        tasks.append(asyncio.get_running_loop().create_task(one(index)))
    await asyncio.gather(*tasks)
    found.searches = len(taken) / (time.perf_counter() - began)
    filling.cancel()
    await asyncio.gather(filling, return_exceptions=True)
    found.search_p50, found.search_p99 = percentile(taken, 0.5), percentile(taken, 0.99)
    began = time.perf_counter()
    if len(await source.find(_by(None), municipality)) != LIST:
        raise RuntimeError("the list is not whole")
    found.listed = time.perf_counter() - began


async def _for_ever(step: Callable[[], Awaitable[float]]) -> None:
    while True:
        await step()


def _by(number: str | None) -> Search:
    patient = None if number is None else PatientKey(None, number)
    return Search(kind="Patient", information=Information.PASIENTINFO, patient=patient, service_codes=("TA",))


async def main(folder: Path, issuer: str, url: str, count: int, seconds: float) -> Measured:
    """Measure all of it."""
    clock, found = Clock(), Measured()
    key = ECKey.import_key(json.loads((folder / "gateway-key.json").read_text()))
    settings, prover = Breaker(), DpopProver(clock)
    identity = ClientIdentity(CLIENT_ID, lambda: key, multi_tenant=True, assertion_field="assertion_details")
    endpoint = TokenEndpoint(Issuer(issuer, HelseIdHttp(issuer), clock), identity, prover, clock)
    made = (TokenSource(endpoint, clock), prover, Caller(url, None, answer_limit=ANSWER_LIMIT))
    caller = ServiceCaller("pit", url, *made, breaker=CircuitBreaker(settings), settings=settings)
    for _ in range(2):  # the first time the double writes its patients
        found.pages, found.alone = await _read_alone(caller)
    store = await asyncio.to_thread(open_store, "sqlite:///copy.db", folder)
    vault, lookup = PayloadCipher({"k": b"p" * 32}, "k"), LookupHasher(b"l" * 32)
    seal = PatientSeal(vault, lookup)
    pages = PageProcess()
    upstream = PitUpstream("pit", url, ReadScopes(SCOPE), ServiceStatus.TEST, _PLACE)
    of = (_municipality(), PitClient(upstream, caller, pages), store, seal, "bench", clock)
    sync = PatientSync(*of, every=_EVERY, freshness=_LIVE_FOR_EVER, whole=_LIVE_FOR_EVER)
    await store.write(lambda each: feeds.claim(each, sync.key, "bench", clock))
    await _fill(sync, pages, found)
    having = await _have_services(store, ServiceSeal(vault, lookup), clock, count)
    fresh = Freshness(clock, seal.maker, _EVERY)
    source = PatientSource(store, seal, Needs(CopiedNumbers(seal), clock, _LIVE_FOR_EVER), fresh, _LIVE_FOR_EVER, 1000)
    anew = PatientSync(*of, every=_LIVE_FOR_EVER, freshness=_LIVE_FOR_EVER, whole=0.0)
    await _search(source, anew, having, seconds, found)
    await store.close()
    store = await asyncio.to_thread(open_store, "sqlite:///paced.db", folder)
    of = (_municipality(), PitClient(upstream, caller, pages), store, seal, "bench", clock)
    sync = PatientSync(*of, every=_EVERY, freshness=_LIVE_FOR_EVER, whole=_LIVE_FOR_EVER)
    await store.write(lambda each: feeds.claim(each, sync.key, "bench", clock))
    await _fill_at_a_pace(url, caller, sync, pages, found)
    await pages.close()
    await store.close()
    return found


if __name__ == "__main__":
    calm_collector()
    arguments = (Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4]), float(sys.argv[5]))
    print(json.dumps(asdict(asyncio.run(main(*arguments)))))
