"""Rules that people set are kept whole, told to every node, changed by one at a time, and never without an entry in the audit."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs
from sqlalchemy import text

from gateway.ledger import audit, overrides
from gateway.ledger.audit import Note
from gateway.ledger.database import LedgerUnavailable
from gateway.ledger.overrides import Changed, Refused, RuleFilter, SetRule, Stale
from gateway.model import JOURNALING, Information, Mode
from gateway.routing.layers import Layer
from gateway.routing.route import AnswerWhen, OnOutage, Route, Unclear
from tests.gateway.ledger.conftest import NOW

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.ledger.messages import Ledger

VARSEL, NOTAT = Information.VARSEL, Information.NOTAT
LATER = NOW + 3600


def note(action: str = "set", at: float = NOW) -> Note:
    """Make what the audit is told."""
    return Note(at, "node-a", "olga (s)", action, "o-1", "because")


def override(
    name: str = "o-1",
    municipality: str | None = "havnes",
    *types: Information,
    layer: Layer = Layer.OVERRIDE,
    **more: Any,
) -> SetRule:
    """Make a rule that closes cells."""
    until = more.pop("until", LATER)
    values: dict[str, Any] = {"mode": Mode.CLOSED, "text": "Nei.", "losses": (), "grouped": frozenset(), **more}
    place = overrides.place(layer, name.partition("/")[0])
    information = frozenset(types) or None
    route = Route(municipality, None, None, information, place=place, **values)
    return SetRule(name, layer, route, "because", "T-1", "olga (s)", NOW, until)


async def put(ledger: Ledger, *wanted: SetRule, at: float = NOW) -> Any:
    """Set rules under one name."""
    return await ledger.store.write(lambda each: overrides.put(each, wanted, note(at=at)))


async def current(ledger: Ledger, at: float = NOW) -> list[SetRule]:
    """Return what holds."""
    return await ledger.store.read(lambda each: overrides.current(each, at))


async def version(ledger: Ledger) -> int:
    """Return what other nodes look at."""
    return await ledger.store.read(overrides.layers_version)


async def entries(ledger: Ledger) -> list[Note]:
    """Return the audit, the oldest first."""
    return [one.note for one in reversed(await ledger.store.read(lambda each: audit.entries(each, 99)))]


FULL = {
    "mode": Mode.CANARY,
    "text": None,
    "losses": ("Flag.note",),
    "answer": AnswerWhen.JOURNALED,
    "on_outage": OnOutage.HOLD,
    "unclear": Unclear.RESEND,
    "share": 0.25,
    "always": ("one",),
    "never": ("two", "three"),
    "sample": 0.5,
    "acknowledge_within": 60.0,
}


async def test_rule_is_kept_whole(ledger: Ledger) -> None:
    """Every part of its route, also the types that only a group names."""
    wanted = override("o-1", None, *JOURNALING, **{**FULL, "grouped": JOURNALING - {VARSEL}})
    assert await put(ledger, wanted) is None
    assert await current(ledger) == [wanted]
    assert str((await current(ledger))[0].route.place) == "override o-1"


@given(
    st.frozensets(st.sampled_from(Information), min_size=1),
    st.floats(0, 1),
    st.sampled_from(Mode),
    st.text(max_size=20),
)
def test_row_means_the_rule(types: frozenset[Information], share: float, mode: Mode, told: str) -> None:
    """What a row has is read back as the rule that it was written from."""
    wanted = override("p-1/2", "havnes", *types, layer=Layer.PANIC, mode=mode, share=share, text=told)

    class Row:
        def _asdict(self) -> dict[str, Any]:
            return overrides._values(wanted)

    assert overrides._rule(Row()) == wanted


async def test_every_change_grows_the_version(ledger: Ledger) -> None:
    """Together with the change: what was refused leaves the rules as they were."""
    assert await version(ledger) == 0
    first = override()
    await put(ledger, first)
    assert await version(ledger) == 1
    changed = Changed(first.route, "other", "T-2", LATER + 1)
    await ledger.store.write(lambda each: overrides.change(each, first, changed, {1}, note()))
    assert await version(ledger) == 2
    await ledger.store.write(lambda each: overrides.end(each, Layer.OVERRIDE, "o-1", {2}, note()))
    assert await version(ledger) == 3
    assert await current(ledger) == []


async def test_rule_ends_by_itself(ledger: Ledger) -> None:
    """At its end, and not a moment before; it can still be seen."""
    await put(ledger, override())
    assert await current(ledger, LATER - 0.001)
    assert await current(ledger, LATER) == []
    listing = RuleFilter(Layer.OVERRIDE, None, None, 9)
    (found,) = await ledger.store.read(lambda each: overrides.listed(each, listing))
    assert not found.holds(LATER)


async def test_change_of_an_older_version_is_refused(ledger: Ledger) -> None:
    """It is told which version there is."""
    first = override()
    await put(ledger, first)
    changed = Changed(first.route, "other", "T-2", LATER)
    done = await ledger.store.write(lambda each: overrides.change(each, first, changed, {1}, note()))
    assert (done.version, done.reason) == (2, "other")
    again = await ledger.store.write(lambda each: overrides.change(each, first, changed, {1}, note()))
    assert again == Stale(2)
    assert await ledger.store.write(lambda each: overrides.end(each, Layer.OVERRIDE, "o-1", {1}, note())) == Stale(2)
    assert len(await entries(ledger)) == 2


async def test_one_of_two_changes_at_once_is_made(ledger: Ledger, other: Ledger) -> None:
    """On two nodes, both of what they have seen as version 1."""
    first = override()
    await put(ledger, first)
    changes = [Changed(first.route, f"by {number}", "T", LATER) for number in range(4)]
    found = await asyncio.gather(
        *(
            node.store.write(lambda each, to=to: overrides.change(each, first, to, {1}, note()))
            for node, to in zip((ledger, other, ledger, other), changes, strict=True)
        )
    )
    assert sorted(isinstance(one, Stale) for one in found) == [False, True, True, True]
    assert len(await entries(ledger)) == 2
    assert await ledger.store.read(audit.verify) is None


async def test_one_of_two_equally_specific_rules_at_once_is_set(ledger: Ledger, other: Ledger) -> None:
    """On two nodes: nobody could tell which of them holds."""
    found = await asyncio.gather(put(ledger, override("o-1")), put(other, override("o-2")))
    assert sorted(isinstance(one, Refused) for one in found) == [False, True]
    assert len(await current(ledger)) == 1


@pytest.mark.parametrize(
    ("wanted", "is_refused"),
    [
        (override("o-2", "havnes"), True),
        (override("o-2", "havnes", VARSEL), False),
        (override("o-2", "sorvik"), False),
        (override("o-2", None), False),
        (override("o-2", "havnes", layer=Layer.PANIC), False),
    ],
)
async def test_only_what_is_as_specific_is_refused(ledger: Ledger, wanted: SetRule, is_refused: bool) -> None:
    """In the same layer, on the same cell; a wider or a narrower rule may lie beside it."""
    await put(ledger, override("o-1", "havnes"))
    found = await put(ledger, wanted)
    assert isinstance(found, Refused) is is_refused
    if is_refused:
        assert found.reason.startswith("override o-1 is as specific")


async def test_ended_rule_is_in_nobodys_way(ledger: Ledger) -> None:
    """Neither one that was ended nor one that came to its end."""
    await put(ledger, override("o-1"))
    await ledger.store.write(lambda each: overrides.end(each, Layer.OVERRIDE, "o-1", None, note()))
    assert await put(ledger, override("o-2")) is None
    assert await put(ledger, override("o-3", until=LATER + 9), at=LATER) is None


async def test_change_into_another_rules_cells_is_refused(ledger: Ledger) -> None:
    """And the rule stays as it was."""
    first, second = override("o-1", "havnes", VARSEL), override("o-2", "havnes", NOTAT)
    await put(ledger, first)
    await put(ledger, second)
    into = Changed(first.route, "because", "T", LATER)
    assert isinstance(await ledger.store.write(lambda each: overrides.change(each, second, into, {1}, note())), Refused)
    assert {one.id: one.version for one in await current(ledger)} == {"o-1": 1, "o-2": 1}


async def test_ended_rule_is_not_changed(ledger: Ledger) -> None:
    """Nor ended again."""
    first = override()
    await put(ledger, first)
    changed = Changed(first.route, "other", "T", LATER + 9)
    late = note(at=LATER)
    assert isinstance(await ledger.store.write(lambda each: overrides.change(each, first, changed, {1}, late)), Refused)
    assert isinstance(
        await ledger.store.write(lambda each: overrides.end(each, Layer.OVERRIDE, "o-1", {1}, late)), Refused
    )


async def test_parts_of_a_panic_end_together(ledger: Ledger) -> None:
    """They have one name, and another panic whose name begins alike stays."""
    parts = [
        override(overrides.part("p-1", 1), None, layer=Layer.PANIC),
        override("p-1/2", "havnes", layer=Layer.PANIC),
    ]
    await put(ledger, *parts)
    await put(ledger, override("p-12/1", "sorvik", layer=Layer.PANIC))
    found = await ledger.store.read(lambda each: overrides.named(each, Layer.PANIC, "p-1"))
    assert [one.id for one in found] == ["p-1/1", "p-1/2"]
    assert {one.over_routes().id for one in found} == {"p-1"}
    ended = await ledger.store.write(lambda each: overrides.end(each, Layer.PANIC, "p-1", None, note("panic.off")))
    assert len(ended) == 2
    assert [one.id for one in await current(ledger)] == ["p-12/1"]
    assert len(await entries(ledger)) == 3


async def test_audit_has_before_and_after(ledger: Ledger) -> None:
    """Of a rule that was set, changed and ended: who, when, why, what it was and what it became."""
    first = override()
    await put(ledger, first)
    to = structs.replace(Changed(first.route, "other", "T-2", LATER + 1))
    await ledger.store.write(lambda each: overrides.change(each, first, to, {1}, note("change")))
    await ledger.store.write(lambda each: overrides.end(each, Layer.OVERRIDE, "o-1", {2}, note("end")))
    found = [(one.action, msgspec.json.decode(one.detail or "")) for one in await entries(ledger)]
    versions = [
        (what, [each["version"] for each in d["before"]], [each["version"] for each in d["after"]]) for what, d in found
    ]
    assert versions == [("set", [], [1]), ("change", [1], [2]), ("end", [2], [3])]
    assert [found[1][1][side][0]["ticket"] for side in ("before", "after")] == ["T-1", "T-2"]
    assert found[2][1]["after"][0]["ended_by"] == "olga (s)"
    assert all((one.actor, one.reason) == ("olga (s)", "because") for one in await entries(ledger))


@pytest.mark.parametrize("action", ["put", "change", "end"])
async def test_change_whose_audit_cannot_be_written_is_not_made(ledger: Ledger, action: str) -> None:
    """The rule, its version and the entry are one transaction, on either database."""
    first = override()
    await put(ledger, first)
    await ledger.store.write(lambda each: each.execute(text("ALTER TABLE audit RENAME TO elsewhere")).rowcount)
    changed = Changed(first.route, "other", "T", LATER)
    works: dict[str, Callable[..., Any]] = {
        "put": lambda each: overrides.put(each, [override("o-2", "sorvik")], note()),
        "change": lambda each: overrides.change(each, first, changed, {1}, note()),
        "end": lambda each: overrides.end(each, Layer.OVERRIDE, "o-1", {1}, note()),
    }
    with pytest.raises(LedgerUnavailable):
        await ledger.store.write(works[action])
    assert await current(ledger) == [first]
    assert await version(ledger) == 1


async def test_list_is_narrowed(ledger: Ledger) -> None:
    """To municipalities and what names none, to what holds, and to a part, the newest first."""
    for number, municipality in enumerate(("havnes", "sorvik", None)):
        wanted = structs.replace(override(f"o-{number}", municipality, until=LATER + number), made_at=NOW + number)
        await put(ledger, wanted)

    async def names(within: set[str] | None, at: float | None = NOW, most: int = 9, skipped: int = 0) -> list[str]:
        listing = RuleFilter(Layer.OVERRIDE, within, at, most, skipped)
        return [one.id for one in await ledger.store.read(lambda each: overrides.listed(each, listing))]

    assert await names(None) == ["o-2", "o-1", "o-0"]
    assert await names({"havnes"}) == ["o-2", "o-0"]
    assert await names(set()) == ["o-2"]
    assert await names(None, LATER) == ["o-2", "o-1"]
    assert await names(None, None, 1, 1) == ["o-1"]
