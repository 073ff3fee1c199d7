"""What parsing, translating and proving take of one core inside one process, beside a peer that reads the same message.

All times are those of the CPU, which other processes on the machine change least.
"""

import gc
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from statistics import median

from bench import compiled, passage
from bench.message import SIZE, SOAP_SIZE, STU3_SIZE, alarm_follow_up, failed_dispense, note_in_soap, search_in_soap
from bench.processes import BenchFailed
from bench.report import Findings, Goal, Table
from bench.scene import Scene
from gateway.auth.helseid.dpop import DpopProver
from gateway.surfaces.soap import surface as soap
from gateway.times import Clock
from translators.contract import Settings, Tree
from translators.fhir import xml_codec
from translators.fhir.elements import stu3
from translators.fhir.json_codec import decode, encode
from translators.jft import SERVICE
from translators.national_number import TEST_KINDS
from translators.translate import translate

NAME, STU3, SOAP = "vkp-r4", "vkp-stu3", soap.NAME
_WANTED = {"R4": 5_000, "STU3 JSON": 2_800, "STU3 XML": 2_500, "SOAP": 1_500, "SOAP search": 500}
"""Messages per second of one core, the check of what is sent included."""
_WARM_UP = 50
_SETTINGS = Settings(frozenset(TEST_KINDS), source_system="Bench")


@dataclass(frozen=True, slots=True)
class Steps:
    """Median seconds of the CPU for each step of one message."""

    parse: float
    translate: float
    proof: float


@dataclass(frozen=True, slots=True)
class _OfStu3:
    """The same for one message of STU3 in both forms; `peer` is what fhir.resources takes to read the XML."""

    parse_xml: float
    parse_json: float
    translate: float
    peer: float | None


def measure(scene: Scene) -> Findings:
    """Time the steps on the measured core."""
    with scene.cores.lent():
        steps = time_steps(scene.token, scene.settings.repeats)
        peer = _time_peer(scene.settings.repeats // 4)
        of_stu3 = _time_stu3(scene.settings.repeats)
        of_soap = _time_soap(scene.settings.repeats)
        of_compiled = compiled.table(scene.settings.repeats)
        passing = {name: _median(work, scene.settings.repeats) for name, work in passage.steps(scene.token).items()}
    both = steps.parse + steps.translate
    rows = (
        _row("parse", steps.parse),
        _row("translate, from tree to calls", steps.translate),
        _row("parse and translate, from bytes to bytes", both),
        _row("DPoP proof with the token's hash", steps.proof),
        *(
            (_row(f"fhir.resources {metadata.version('fhir.resources')}: validate the same bytes", peer),)
            if peer
            else ()
        ),
    )
    columns = ("", "CPU microseconds", "per CPU second")
    note = "Medians of CPU time in this process." + ("" if peer else " fhir.resources is not installed.")
    table = Table(f"One R4 message of {SIZE:,} bytes, in process", columns, rows, (note,))
    goals = (
        _goal("translate R4 in process", steps.translate, "R4"),
        _goal("parse and translate R4 in process", both, "R4"),
        _goal("translate STU3 in process", of_stu3.translate, "STU3 JSON"),
        _goal("parse and translate STU3 JSON in process", of_stu3.parse_json + of_stu3.translate, "STU3 JSON"),
        _goal("parse and translate STU3 XML in process", of_stu3.parse_xml + of_stu3.translate, "STU3 XML"),
        _goal("read and translate a MsgHead in process", sum(of_soap[:2]), "SOAP"),
        _goal("read a search with zeep in process", of_soap[2], "SOAP search"),
    )
    rows = tuple(_row(name, seconds) for name, seconds in passing.items())
    own = Table("The gateway's own work for a request that passes, beside reading and sending it", columns, rows)
    return Findings(
        "inprocess", (table, _stu3_table(of_stu3, note), of_compiled, _soap_table(of_soap, note), own), goals
    )


def _goal(what: str, seconds: float, form: str) -> Goal:
    wanted = _WANTED[form]
    return Goal(what, f"{wanted:,} per CPU second", f"{1 / seconds:,.0f}", 1 / seconds >= wanted)


def _time_stu3(repeats: int) -> _OfStu3:
    """Time one message in both forms, and the peer reading the same XML."""
    data = failed_dispense()
    tree = xml_codec.decode(data, stu3())[0]
    refusal = translate(tree, STU3, SERVICE, _SETTINGS).refusal
    if refusal is not None:
        raise BenchFailed(f"the message of STU3 is refused: {refusal}")
    as_json = encode(xml_codec.decode(data, stu3())[0])
    parse_xml = _median(lambda: xml_codec.decode(data, stu3()), repeats)
    parse_json = _median(lambda: decode(as_json), repeats)
    work = _median_of_translating(lambda: xml_codec.decode(data, stu3())[0], STU3, repeats)
    try:
        from fhir.resources.STU3.bundle import Bundle  # noqa: PLC0415 - only where it is installed
    except ImportError:
        return _OfStu3(parse_xml, parse_json, work, None)
    return _OfStu3(parse_xml, parse_json, work, _median(lambda: Bundle.model_validate_xml(data), repeats // 4))


def _stu3_table(times: _OfStu3, note: str) -> Table:
    rows = (
        _row("parse the XML", times.parse_xml),
        _row("parse the same as JSON", times.parse_json),
        _row("translate, from tree to calls", times.translate),
        _row("parse and translate XML, from bytes to bytes", times.parse_xml + times.translate),
        _row("parse and translate JSON, from bytes to bytes", times.parse_json + times.translate),
        *((_row("fhir.resources: read the same XML", times.peer),) if times.peer else ()),
    )
    columns = ("", "CPU microseconds", "per CPU second")
    return Table(f"One STU3 message of {STU3_SIZE:,} bytes, in process", columns, rows, (note,))


def _time_soap(repeats: int) -> tuple[float, float, float]:
    """Return the seconds for reading a MsgHead by its schema, for translating it, and for reading a search with zeep."""
    data, search = note_in_soap(), search_in_soap()
    refusal = translate(soap.read(data, None)[0], SOAP, SERVICE, _SETTINGS).refusal
    if refusal is not None:
        raise BenchFailed(f"the MsgHead is refused: {refusal}")
    trees: list[Tree] = [soap.read(data, None)[0] for _ in range(repeats + _WARM_UP)]
    return (
        _median(lambda: soap.read(data, None), repeats),
        _median(lambda: translate(trees.pop(), SOAP, SERVICE, _SETTINGS), repeats),
        _median(lambda: soap.read(search, soap.SEARCH), repeats // 4),
    )


def _soap_table(times: tuple[float, float, float], note: str) -> Table:
    parse, work, search = times
    rows = (
        _row("read the MsgHead, checked by its schema", parse),
        _row("translate, from tree to calls", work),
        _row("read and translate, from bytes to bytes", parse + work),
        _row("a search, read by zeep", search),
    )
    return Table(
        f"One MsgHead of {SOAP_SIZE:,} bytes, in process", ("", "CPU microseconds", "per CPU second"), rows, (note,)
    )


def time_steps(token: str, repeats: int) -> Steps:
    """Return what each step takes, by the gateway's own functions."""
    data = alarm_follow_up()
    refusal = translate(decode(data), NAME, SERVICE, _SETTINGS).refusal
    if refusal is not None:
        raise BenchFailed(f"the message is refused: {refusal}")
    prover = DpopProver(Clock())
    return Steps(
        parse=_median(lambda: decode(data), repeats),
        translate=_median_of_translating(lambda: decode(data), NAME, repeats),
        proof=_median(lambda: prover.proof("POST", "http://127.0.0.1:9102/v1/Bundle", token=token), repeats),
    )


def _time_peer(repeats: int) -> float | None:
    try:
        from fhir.resources.R4B.bundle import Bundle  # noqa: PLC0415 - only where it is installed
    except ImportError:
        return None
    data = alarm_follow_up()
    return _median(lambda: Bundle.model_validate_json(data), repeats)


def _median_of_translating(parse: Callable[[], Tree], surface: str, repeats: int) -> float:
    """Time translating alone, each message right after it was parsed, as in a running gateway."""
    times = []
    for _ in range(_WARM_UP + repeats):
        tree = parse()
        start = time.thread_time()
        translate(tree, surface, SERVICE, _SETTINGS)
        times.append(time.thread_time() - start)
    return median(times[_WARM_UP:])


def _median(work: Callable[[], object], repeats: int) -> float:
    """Time every call by itself; collections of garbage fall where they fall, as in a running gateway."""
    for _ in range(_WARM_UP):
        work()
    gc.collect()
    times = []
    for _ in range(repeats):
        start = time.thread_time()
        work()
        times.append(time.thread_time() - start)
    return median(times)


def _row(name: str, seconds: float) -> tuple[str, str, str]:
    return (name, f"{seconds * 1_000_000:.0f}", f"{1 / seconds:,.0f}")
