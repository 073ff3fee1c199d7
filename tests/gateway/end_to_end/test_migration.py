"""A municipality moves and comes back, through the real ports: rehearsed, planned, approved, switched, rolled back."""

from __future__ import annotations

import asyncio
from collections import Counter
from functools import partial

import pytest

from tests.gateway.end_to_end.scene import (
    AT,
    CUTOVER,
    HISTORY,
    HOUR,
    LOSSES,
    OLGA,
    PETTER,
    Desk,
    Migration,
    Tool,
    everywhere,
    routes,
)
from tests.gateway.end_to_end.steps import (
    CONFIRMED,
    accepted_again,
    approve,
    fail_until_rolled_back,
    groups,
    reads,
    reasons,
    rehearse,
    send_back,
    stands,
    switched,
)
from tests.gateway.end_to_end.traffic import MIXED, SOUND, Kind
from tests.gateway.office import NOW
from tests.waiting import until


async def not_clean_enough(migration: Migration) -> str:
    """Rehearse what would be refused in one of five; the gate says no, and why. Return the plan's hash."""
    planner, operator = await migration.person(PETTER), await migration.person(OLGA)
    assert await rehearse(migration, operator, 300) == {"clean": 240, "refused": 60}
    lost, superseded = sorted((await reasons(operator)).items())
    assert lost == ("loss: would be lost: Composition.unheard", 30)
    assert (superseded[0].endswith("code_history must say which it uses"), superseded[1]) == (True, 30)
    page = await planner.post("cutovers", {"from_file": CUTOVER})
    assert (page.status, page.json["state"]) == (201, "submitted"), page.text
    is_ready, against = await planner.preflight()
    assert (is_ready, set(against)) == (False, {"rehearsals", "approvals"})
    told = "300 rehearsed in the last 2 hours, 240 of them clean (80 %); 99.5 % clean are asked for"
    assert against["rehearsals"].startswith(told)
    return str(page.json["hash"])


async def mended_and_approved(migration: Migration, plan_hash: str) -> None:
    """Mend it by configuration, and rehearse anew when the first numbers are out of the gate's window."""
    await migration.reload(routes=routes(LOSSES), everywhere=everywhere(HISTORY))
    migration.office.clock.now = NOW + 3 * HOUR
    planner, operator = await migration.person(PETTER), await migration.person(OLGA)
    assert await rehearse(migration, operator, 120) == {"clean": 108, "repaired": 12}
    assert await planner.preflight() == (False, {"approvals": "0 of 1; 1 missing"})
    await approve(migration, planner, plan_hash)
    assert await planner.preflight() == (True, {})


async def moved(migration: Migration) -> None:
    """Let the time come while messages are sent: it switches between two of them."""
    migration.office.clock.now = AT - 60
    before, after = await switched(migration)
    after += await migration.send_each(MIXED, 40)
    assert {one.answer.status for one in (*before, *after)} == {200}
    assert migration.at_vkp[-len(before) :] == [one.number for one in before]
    assert migration.at_jft == [one.number for one in after]


async def partly_fetched(migration: Migration, tool: Tool) -> None:
    """Let the record system have five messages and fetch four; the gateway hears of that."""
    await reads(migration, migration.at_jft[:5], "acknowledge")
    await reads(migration, migration.at_jft[5:9], "read")
    migration.office.clock.now += 120
    known = {"unread": len(migration.at_jft) - 9, "possible-duplicate": 4, "acknowledged": 5}
    await until(lambda: stands(tool, known))


async def rolled_back(migration: Migration, operator: Desk) -> None:
    """Let JFT fail until the cutover's own rule takes it back; senders that were told of a failure send again."""
    at_jft = migration.at_jft
    failed = await fail_until_rolled_back(migration, operator)
    assert failed
    assert not {one.number for one in failed} & {*migration.at_vkp, *migration.at_jft}
    cutover = await operator.get(f"cutovers/{CUTOVER}")
    report = cutover["report"]
    assert report["failed"] * 5 >= report["failed"] + report["fine"] >= 20
    assert (cutover["is_executed"], cutover["history"][-1]["what"]) == (False, "rolled_back")
    assert [one["cutover"] for one in migration.world.logged.named("cutover.rolled_back")] == [CUTOVER]
    for one in failed:
        await until(partial(accepted_again, migration, one))
    await migration.jft("behaviour", {"times": 0})
    later = await migration.send_each(MIXED, 20)
    assert {one.answer.status for one in later} == {200}
    assert migration.at_vkp[-20:] == [one.number for one in later]
    assert (await operator.state(), migration.at_jft) == ("rolled_back", at_jft)


async def unread_sent_back(migration: Migration, tool: Tool) -> None:
    """Send what nobody has read, each once and in its order; three that were fetched a moment ago stay."""
    at_vkp, unread = migration.at_vkp, migration.at_jft[12:]
    assert await groups(tool) == {"unread": len(unread) + 3, "possible-duplicate": 4, "acknowledged": 5}
    await reads(migration, migration.at_jft[9:12], "read")
    job = await send_back(tool)
    counts = {name: number for name, number in job["counts"].items() if number}
    assert (job["progress"], counts) == ("done", {"returned": len(unread), "read-meanwhile": 3})
    assert migration.at_vkp == at_vkp + unread
    assert await groups(tool) == {"returned": len(unread), "possible-duplicate": 7, "acknowledged": 5}
    assert not any((await send_back(tool))["counts"].values())
    assert migration.at_vkp == at_vkp + unread


@pytest.mark.slow
async def test_a_municipality_moves_and_comes_back_and_no_message_is_lost_or_at_both_sides(
    migration: Migration,
) -> None:
    """Rehearsed, not clean, mended, approved by another, switched at its time, rolled back by its rule, sent back to VKP."""
    await mended_and_approved(migration, await not_clean_enough(migration))
    await moved(migration)
    operator = await migration.person(OLGA)
    assert await operator.state() == "watching"
    tool = await operator.tool()
    early = await tool.run(*CONFIRMED)
    assert (early.exit_code != 0, "roll the routes back first" in early.output) == (True, True), early.output
    await partly_fetched(migration, tool)
    await rolled_back(migration, operator)
    each = Counter(one.number for one in migration.sent if one.answer.status == 200)
    assert Counter(migration.at_vkp + migration.at_jft) == each
    assert set(each.values()) == {1}
    assert set(each) == set(migration.bodies)
    await unread_sent_back(migration, tool)
    # VKP has each once, by its sender's very bytes, but for what the record has, or may have, by way of JFT.
    assert sorted(migration.at_vkp + migration.at_jft[:12]) == sorted(migration.bodies)
    assert migration.bodies_at_vkp == [migration.bodies[number] for number in migration.at_vkp]
    migration.world.assert_discreet(*(one.answer for one in migration.sent))


@pytest.mark.slow
async def test_messages_that_are_under_way_while_it_switches_are_each_answered_and_at_one_side(
    migration: Migration,
) -> None:
    """Eight senders go on sending until each has had a message of its own at JFT."""
    await mended_and_approved(migration, await not_clean_enough(migration))
    migration.office.clock.now = AT - 60

    async def send_until_moved(kind: Kind) -> None:
        for _ in range(200):
            sent = await migration.send(kind)
            if sent.number in migration.at_jft:
                return

    async with asyncio.TaskGroup() as senders:
        for kind in SOUND:
            senders.create_task(send_until_moved(kind))
        await asyncio.sleep(0)
        migration.office.clock.now = AT
    assert {one.answer.status for one in migration.sent} == {200}
    assert len(migration.at_jft) >= len(SOUND)
    assert Counter(migration.at_vkp + migration.at_jft) == Counter(one.number for one in migration.sent)
