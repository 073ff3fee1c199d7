"""Every file in searches/: a request, a line of dashes, and how it is answered where VKP does not answer.

The first line has the method and the target, the next ones fields; after an empty line comes the body. The answer is a status
and a code of vkp-operation-outcome, then what `diagnostics` says.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tests.gateway.pipeline.record_system import started
from tests.gateway.world import NORDFJELL

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.gateway.world import World

CASES = sorted((Path(__file__).parent / "searches").glob("*.case"))
SENDER = "{vkp_id: Everywhere, municipalities: all, service_codes: [RT, TA]}"


async def test_bad_searches_are_refused_in_words_and_nothing_is_fetched(
    start: Callable[..., Awaitable[World]],
) -> None:
    """Each with VKP's code; no value of the request is in the answer or a log."""
    assert len(CASES) >= 20
    async with started(start, everywhere=SENDER) as (world, epj):
        for case in CASES:
            written, expected = case.read_text(encoding="utf-8").split("----------\n")
            head, _, body = written.partition("\n\n")
            line, *fields = head.splitlines()
            method, target = line.split(" ", 1)
            headers = tuple((name, value) for name, _, value in (each.partition(": ") for each in fields))
            target = target.replace("{orgnr}", NORDFJELL)
            answer = await world.send(
                world.request(target, body.strip().encode("utf-8", "surrogateescape"), method=method, headers=headers)
            )
            status, code, *words = expected.split(maxsplit=2)
            issue = world.assert_refused(answer, int(status), code)
            assert issue["diagnostics"].startswith(words[0].strip() + ". Reference "), (case.stem, issue["diagnostics"])
            assert not list(epj.received), case.stem
            assert not list(world.vkp.received), case.stem
            world.forget()
