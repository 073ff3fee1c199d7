"""Reads pages of PIT in a process of its own, so that fifty patients that are checked keep no sender waiting."""

import msgspec

from gateway.worker.main import Question, main
from gateway.worker.process import WorkerProcess
from translators.contract import Reason, Refused
from translators.pit import PitPage, page_of

_IDLE = 30.0
"""Seconds without a page after which the process ends: it is needed for first copies and readings of everything."""


class PageQuestion(Question, frozen=True):
    """A page, and the cursor that it was asked for with."""

    cursor: str | None


class PageAnswer(msgspec.Struct, array_like=True, tag=True):
    """What is read of a page, or why it is refused."""

    page: PitPage | None = None
    refused: tuple[Reason, str, str | None] | None = None


class PageProcess:
    """Has pages read in a process, which starts with the first one."""

    def __init__(self, idle: float = _IDLE) -> None:
        """`idle` is in seconds."""
        self._process = WorkerProcess("gateway.upstreams.page_process", PageAnswer, idle)

    @property
    def pid(self) -> int | None:
        """The id of the process; None where there is none now."""
        return self._process.pid

    async def read(self, body: bytes, cursor: str | None, timeout: float) -> PitPage:  # noqa: ASYNC109 - of the whole
        """Return `page_of(body, cursor)`; raises `Refused` as that does, and `ProcessLost`. `timeout` is in seconds."""
        answer = await self._process.ask(PageQuestion(body, cursor), timeout)
        if answer.refused is not None:
            raise Refused(*answer.refused)
        if answer.page is None:
            raise TypeError("neither a page nor a refusal")
        return answer.page

    def end(self) -> None:
        """End the process, if there is one."""
        self._process.end()

    async def close(self) -> None:
        """End the process, and return when it is gone."""
        await self._process.close()


def answered(asked: PageQuestion) -> PageAnswer:
    """Return the answer to a question."""
    try:
        return PageAnswer(page_of(asked.body, asked.cursor))
    except Refused as error:
        return PageAnswer(refused=(error.reason, error.text, error.path))


if __name__ == "__main__":
    main(PageQuestion, answered)
