"""The steps of a migration: what is sent, asked and waited for in each."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from tests.gateway.end_to_end.scene import ARNE, AT, CUTOVER
from tests.gateway.end_to_end.traffic import MIXED
from tests.waiting import until

if TYPE_CHECKING:
    from tests.gateway.end_to_end.scene import Desk, Migration, Sent, Tool

SINCE = datetime.fromtimestamp(AT, UTC).isoformat()
OUTAGE = {
    "mix": [{"weight": 1, "behaviour": {"status": 500}}, {"weight": 1, "behaviour": {"status": 503}}],
    "times": -1,
}
HERE = ("--municipality", "nordfjell", "--since", SINCE)
SEND = ("send", *HERE, "--rate", "50", "--reason", "Avtalt med kommunen")
CONFIRMED = (*SEND, "--confirm-epj-stopped-reading")


async def rehearsed(desk: Desk, since: float) -> Counter[str]:
    """Return the verdicts of the municipality since a time."""
    moment = datetime.fromtimestamp(since, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    found = await desk.get(f"rehearsals?municipality=nordfjell&since={moment}")
    total: Counter[str] = Counter()
    for cell in found["rehearsals"]:
        total.update(cell["counts"])
    return total


async def rehearse(migration: Migration, desk: Desk, count: int) -> Counter[str]:
    """Send mixed messages of both vendors, and wait until each is judged; VKP answered, and JFT has nothing."""
    since = migration.office.clock()
    sent = await migration.send_each(MIXED, count)
    assert {one.answer.status for one in sent} == {200}

    async def all_judged() -> bool:
        return (await rehearsed(desk, since)).total() == count

    await until(all_judged)
    assert migration.at_vkp[-count:] == [one.number for one in sent]
    assert not migration.world.jft.received
    return await rehearsed(desk, since)


async def reasons(desk: Desk) -> dict[str, int]:
    """Return why messages were refused in rehearsals, and how many."""
    found = await desk.get("rehearsals?municipality=nordfjell")
    told = [one for cell in found["rehearsals"] for one in cell["reasons"] if one["verdict"] == "refused"]
    counted: Counter[str] = Counter()
    for one in told:
        counted[one["reason"]] += one["messages"]
    return counted


async def approve(migration: Migration, planner: Desk, plan_hash: str) -> None:
    """Let the second person approve; the first may not, and of another plan nobody may."""
    body = {"hash": plan_hash}
    refused = await planner.post(f"cutovers/{CUTOVER}/approve", body)
    assert (refused.status, "whoever wrote a plan" in refused.text) == (409, True), refused.text
    arne = await migration.person(ARNE)
    other = await arne.post(f"cutovers/{CUTOVER}/approve", {"hash": "0" * 64})
    assert (other.status, "another one" in other.text) == (409, True), other.text
    page = await arne.post(f"cutovers/{CUTOVER}/approve", body)
    assert (page.status, page.json["state"]) == (200, "approved"), page.text


async def switched(migration: Migration) -> tuple[list[Sent], list[Sent]]:
    """Send while the time comes, until JFT has got some; return what VKP got and what JFT got."""
    before = [await migration.send(kind) for kind in MIXED]
    migration.office.clock.now = AT
    after: list[Sent] = []
    for _ in range(100):
        for kind in MIXED:
            one = await migration.send(kind)
            if after or migration.at_jft:
                after.append(one)
            else:
                before.append(one)
        if after:
            break
    return before, after


async def fail_until_rolled_back(migration: Migration, desk: Desk) -> list[Sent]:
    """Let JFT fail until the cutover has rolled back; return what was answered with a failure."""
    await migration.jft("behaviour", OUTAGE)
    failed: list[Sent] = []

    async def rolled_back() -> bool:
        one = await migration.send(MIXED[len(migration.sent) % len(MIXED)])
        if one.answer.status != 200:
            failed.append(one)
        return await desk.state() == "rolled_back"

    await until(rolled_back)
    return failed


async def send_back(tool: Tool) -> dict[str, Any]:
    """Send what is unread, which nobody does without confirming; return the job when it has ended."""
    refused = await tool.run(*SEND)
    assert (refused.exit_code != 0, "confirm-epj-stopped-reading" in refused.output) == (True, True)
    job = await tool.ask(*CONFIRMED)

    async def has_ended() -> bool:
        job.update(await tool.ask("status", job["id"]))
        return bool(job["progress"] != "running")

    await until(has_ended)
    return dict(job)


async def groups(tool: Tool) -> dict[str, int]:
    """Return how many messages of the new side stand where."""
    found = (await tool.ask("list", *HERE))["groups"]
    return {name: one["messages"] for name, one in found.items() if one["messages"]}


async def stands(tool: Tool, wanted: dict[str, int]) -> bool:
    """Tell whether the gateway knows of so many messages in each group."""
    return await groups(tool) == wanted


async def accepted_again(migration: Migration, sent: Sent) -> bool:
    """Send a message again, and tell whether it was taken now."""
    return (await migration.again(sent)).answer.status == 200


async def reads(migration: Migration, numbers: list[int], how: str) -> None:
    """Let the record system fetch messages, or say that they are in the record."""
    await migration.jft(how, {"ids": [migration.event_of(each) for each in numbers]})
