"""`explain` knows what people have set and planned at run time, for now, for a time to come, and for one that is past."""

from __future__ import annotations

import asyncio
import json
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner
from sqlalchemy import update

from gateway.cli.main import main
from gateway.ledger import canary_key, cutovers, overrides
from gateway.ledger.database import open_store
from gateway.ledger.tables import CUTOVER, RULE
from gateway.migration.cutover import CutoverEvent, CutoverState, to_row
from gateway.model import Information, Mode
from gateway.routing.layers import Layer
from gateway.routing.route import RouteSpec
from tests.gateway.ledger.test_overrides import note, override
from tests.gateway.migration.cutovers.scene import plan_of, submitted, with_approval

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from click.testing import Result
    from sqlalchemy import Connection

    from gateway.ledger.overrides import SetRule
    from gateway.migration.cutover import Cutover

    Run = Callable[..., Result]
    Fill = Callable[..., None]

HOUR = 3600.0
CELL = ("--municipality", "nordfjell", "--information", "notat")


@pytest.fixture(scope="module")
def now() -> float:
    """When these tests began, in seconds."""
    return time.time()


@pytest.fixture
def fill(tmp_path: Path) -> Fill:
    """Write to the ledger of the configuration, as a gateway does."""

    def filled(work: Callable[[Connection], object]) -> None:
        async def written() -> None:
            store = await asyncio.to_thread(open_store, "sqlite:///var/gateway.db", tmp_path)
            try:
                await store.write(work)
            finally:
                await store.close()

        asyncio.run(written())

    return filled


@pytest.fixture
def explained(run: Run) -> Callable[..., dict[str, Any]]:
    """Explain a message about one cell, now or at a time in seconds."""

    def asked(*arguments: str, at: float | None = None) -> dict[str, Any]:
        when = () if at is None else ("--at", datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds"))
        result = run("explain", "--json", *(arguments or CELL), *when)
        assert result.exit_code == 0, result.output
        document: dict[str, Any] = json.loads(result.stdout)
        return document

    return asked


def put(*wanted: SetRule) -> Callable[[Connection], object]:
    """Return what sets rules, each by itself."""
    return lambda connection: [overrides.put(connection, [one], note()) for one in wanted]


def add(record: Cutover, **changed: Any) -> Callable[[Connection], object]:
    """Return what writes a cutover down."""

    def work(connection: Connection) -> None:
        assert cutovers.insert(connection, to_row(record))
        if changed:
            connection.execute(update(CUTOVER).where(CUTOVER.c.name == record.name).values(**changed))

    return work


def plan(at: float, name: str = "nordfjell-1", mode: Mode = Mode.NEW, **more: Any) -> Any:
    """Return a plan for the cell of these tests."""
    change = RouteSpec(municipality="nordfjell", information=("notat",), mode=mode, **more)
    return plan_of(name=name, at=datetime.fromtimestamp(at, UTC), set=(change,))


def test_an_override_decides_until_its_end(
    explained: Callable[..., dict[str, Any]], fill: Fill, now: float, run: Run
) -> None:
    """And is named, before the routes that lie below it; at a time after its end it is not there."""
    before = explained()
    assert (before["mode"], before["layer"], before["rule"], before["planned"]) == ("legacy", "routes", None, [])
    fill(put(override("o-1", "nordfjell", Information.NOTAT, until=now + HOUR)))
    document = explained()
    assert (document["mode"], document["layer"], document["rule"]) == ("closed", "override", "o-1")
    assert document["considered"][0] == {"route": "override o-1", "chosen": True, "reason": "chosen"}
    assert "below override o-1" in [one["reason"] for one in document["considered"][1:]]
    assert "decided by    override o-1" in run("explain", *CELL).output
    assert explained(at=now + HOUR - 60)["rule"] == "o-1"
    assert explained(at=now + HOUR + 60)["rule"] is None


def test_a_general_override_follows_one_of_a_type(
    explained: Callable[..., dict[str, Any]], fill: Fill, now: float
) -> None:
    """The less specific of two decides at once when the other has ended."""
    fill(
        put(
            override("o-type", "nordfjell", Information.NOTAT, until=now + HOUR),
            override("o-all", "nordfjell", mode=Mode.LEGACY, text=None, until=now + 2 * HOUR),
        )
    )
    assert [explained(at=now + hours * HOUR + 60)["rule"] for hours in (0, 1, 2)] == ["o-type", "o-all", None]


def test_an_approved_cutover_is_told_where_it_is_to_change_the_cell(
    explained: Callable[..., dict[str, Any]], fill: Fill, now: float
) -> None:
    """By its name, with its time and what would decide; it has not decided yet. Before its time, and elsewhere, nothing is said."""
    fill(add(with_approval(submitted(plan(now + HOUR)))))
    document = explained(at=now + 2 * HOUR)
    assert (document["mode"], document["layer"]) == ("legacy", "routes")
    (planned,) = document["planned"]
    assert planned.pop("at").startswith(datetime.fromtimestamp(now + HOUR, UTC).isoformat()[:13])
    assert planned == {
        "cutover": "nordfjell-1",
        "state": "approved",
        "approvals_missing": 0,
        "mode": "new",
        "canary": False,
        "layer": "cutover",
        "rule": "nordfjell-1",
        "upstream": "jft",
    }
    (told,) = [one for one in document["notes"] if "nordfjell-1" in one]
    assert "is to switch this cell at" in told
    assert told.endswith("(approved): new would decide then, by cutover nordfjell-1")
    assert explained()["planned"] == []
    assert explained("--municipality", "nordfjell", "--information", "varsel", at=now + 2 * HOUR)["planned"] == []


def test_what_lies_over_a_planned_cutover_still_decides(
    explained: Callable[..., dict[str, Any]], fill: Fill, now: float
) -> None:
    """An override that holds then is stronger; after its end the cutover decides."""
    fill(add(with_approval(submitted(plan(now + HOUR)))))
    fill(put(override("o-1", "nordfjell", Information.NOTAT, until=now + 3 * HOUR)))
    found = [explained(at=now + hours * HOUR)["planned"][0] for hours in (2, 4)]
    assert [(one["layer"], one["rule"], one["mode"]) for one in found] == [
        ("override", "o-1", "closed"),
        ("cutover", "nordfjell-1", "new"),
    ]


def test_planned_cutovers_come_one_after_the_other(
    explained: Callable[..., dict[str, Any]], fill: Fill, now: float
) -> None:
    """The later of two on a cell decides; one that lacks approvals is said so, and changes nothing for those after it."""
    fill(add(with_approval(submitted(plan(now + HOUR, "first")))))
    fill(add(submitted(plan(now + 2 * HOUR, "second", Mode.CLOSED, text="Nei."))))
    fill(add(with_approval(submitted(plan(now + 3 * HOUR, "third", Mode.CANARY, share=0.5)))))
    planned = explained(at=now + 4 * HOUR)["planned"]
    assert [(one["cutover"], one["state"], one["approvals_missing"]) for one in planned] == [
        ("first", "approved", 0),
        ("second", "submitted", 1),
        ("third", "approved", 0),
    ]
    assert [(one["mode"], one["canary"], one["rule"]) for one in planned] == [
        ("new", False, "first"),
        ("closed", False, "second"),
        ("legacy", True, "third"),
    ]


@pytest.mark.parametrize(
    "state", [CutoverState.MISSED, CutoverState.CANCELLED, CutoverState.REFUSED, CutoverState.APPROVED]
)
def test_a_cutover_that_will_not_switch_is_not_told(
    state: CutoverState, explained: Callable[..., dict[str, Any]], fill: Fill, now: float
) -> None:
    """What was called off, refused or missed; an approved one too, when its time is long past."""
    at = now - HOUR if state is CutoverState.APPROVED else now + HOUR
    fill(add(with_approval(submitted(plan(at))), state=state.value))
    assert explained(at=now + 2 * HOUR)["planned"] == []


def test_a_cutover_that_only_the_file_has_is_told_as_not_submitted(
    explained: Callable[..., dict[str, Any]], fill: Fill, now: float, routes_file: Path
) -> None:
    """Also where there is no ledger yet; when it is submitted, the ledger says how far it is."""
    at = datetime.fromtimestamp(now + HOUR, UTC).isoformat(timespec="seconds")
    with routes_file.open("a", encoding="utf-8") as file:
        file.write(
            f"cutovers: {{nordfjell-1: {{at: {at}, approvals: 1, set: [{{municipality: nordfjell, information: [notat], mode: new}}]}}}}\n"
        )
    (planned,) = explained(at=now + 2 * HOUR)["planned"]
    assert (planned["cutover"], planned["state"], planned["mode"]) == ("nordfjell-1", "not submitted", "new")
    fill(add(submitted(plan(now + HOUR))))
    (planned,) = explained(at=now + 2 * HOUR)["planned"]
    assert (planned["cutover"], planned["state"]) == ("nordfjell-1", "submitted")


def _switched(record: Cutover, at: float) -> Cutover:
    for state in (CutoverState.DRAINING, CutoverState.SWITCHED):
        record = record.moved(state, CutoverEvent(at, "node-a", state.value), switched_at=at)
    return record


def test_an_executed_cutover_decides(explained: Callable[..., dict[str, Any]], fill: Fill, now: float) -> None:
    """From the time when it switched, and for what is to come; nothing more is planned of it."""
    fill(add(_switched(with_approval(submitted(plan(now - HOUR))), now - HOUR)))
    for at in (None, now + HOUR, now - HOUR + 60):
        document = explained(at=at)
        assert (document["mode"], document["rule"], document["planned"]) == ("new", "nordfjell-1", [])
    assert explained(at=now - 2 * HOUR)["rule"] is None


def test_a_time_that_is_past_is_by_what_held_then(
    explained: Callable[..., dict[str, Any]], fill: Fill, now: float
) -> None:
    """A panic that was ended and a cutover that was rolled back decided in their time; that the file may have been another is said."""

    def work(connection: Connection) -> None:
        overrides.put(connection, [override("p-1", "nordfjell", layer=Layer.PANIC, until=None)], note())
        connection.execute(update(RULE).values(made_at=now - 3 * HOUR, ended_at=now - 2 * HOUR))
        add(
            _switched(with_approval(submitted(plan(now - 5 * HOUR))), now - 5 * HOUR),
            state=CutoverState.ROLLED_BACK.value,
            ended_at=now - HOUR,
        )(connection)

    fill(work)
    found = [explained(at=now - hours * HOUR)["rule"] for hours in (6, 4, 2.5, 1.5, 0.5)]
    assert found == [None, "nordfjell-1", "p-1", "nordfjell-1", None]
    assert "that time is past" in explained(at=now - HOUR)["notes"][0]
    assert not [one for one in explained()["notes"] if "past" in one]


def test_a_ledger_that_cannot_be_read_is_told(explained: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    """The routes of the file are explained all the same; the text has the kind of failure alone."""
    (tmp_path / "var").mkdir()
    (tmp_path / "var" / "gateway.db").write_text("a text that is no database" * 100, encoding="utf-8")
    document = explained()
    assert document["mode"] == "legacy"
    told = "the ledger cannot be read here, its file is no ledger, or is damaged (SQLITE_NOTADB): what people have set or planned at run time is not looked at"
    assert document["notes"][0] == told


def test_nothing_is_made_or_changed(explained: Callable[..., dict[str, Any]], fill: Fill, tmp_path: Path) -> None:
    """No ledger where there is none, and no other row where there is one."""
    explained()
    assert not (tmp_path / "var").exists()
    fill(put(override("o-1", "nordfjell", until=time.time() + HOUR)))
    before = (tmp_path / "var" / "gateway.db").read_bytes()
    explained()
    assert (tmp_path / "var" / "gateway.db").read_bytes() == before


def test_another_canary_key_than_the_ledgers_is_told(
    explained: Callable[..., dict[str, Any]], fill: Fill, routes_file: Path
) -> None:
    """Where the patient stands by the key that is here is not where the gateways have it."""
    assert CliRunner().invoke(main, ["keys", "init", "--config", str(routes_file)]).exit_code == 0
    canary = override(
        "o-1", "nordfjell", Information.NOTAT, mode=Mode.CANARY, text=None, share=0.5, until=time.time() + HOUR
    )
    fill(put(canary))
    fill(lambda each: canary_key.other_than_known(each, b"k" * 32, "node-b", 0.0))
    assert "not the one that this ledger's canaries divide patients by" in explained()["notes"][-1]
