"""Client of Pasientinformasjonstjenesten (PIT): the patients of a municipality that changed since a time, page by page.

NHN's page of 2026-06-17: `GET /v1/Patient` with `_lastUpdated` (a prefix, and at least the minute), `_count` to 50, `_sort`,
and a cursor in the `next` link. Nothing else can be asked for.
"""

from collections.abc import Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from urllib.parse import urlencode

from gateway.config.upstreams import PitUpstream
from gateway.proxy.http_client import Answer
from gateway.upstreams.page_process import PageProcess
from gateway.upstreams.service_caller import AnswerRefused, ServiceCaller, ServiceUnavailable
from gateway.worker.process import ProcessLost
from translators.contract import Call, Refused
from translators.pit import PATH, PitPatient, next_of, page_of

MOST = 50
"""Patients on a page, by NHN's page."""
ANSWER_LIMIT = 50 * 1024 * 1024
"""Bytes of a page: PIT takes a Patient of 900 KB, and a page has 50."""
_SHORT = 16 * 1024
"""Bytes of an answer that are read here: less than a millisecond's work."""
_CURSOR_GONE = (400, 404, 410)


Follow = Callable[[str], None]
"""Takes how the page after one is asked for."""


class CursorLost(Exception):  # noqa: N818 - the condition
    """PIT no longer knows the cursor that it gave: what it was for is asked for anew."""


@dataclass(frozen=True, slots=True)
class Page:
    """Some patients, in the order in which they changed."""

    patients: tuple[PitPatient, ...]
    next: str | None
    """How the next page is asked for: what stands after `?`; None on the last."""
    answered_at: float | None
    """PIT's own clock, in seconds since the epoch; None where it does not say."""


class PitClient:
    """Asks PIT with a token for the municipality."""

    def __init__(self, upstream: PitUpstream, caller: ServiceCaller, pages: PageProcess) -> None:
        self.upstream = upstream
        self._caller = caller
        self._pages = pages

    async def page(
        self,
        orgnr: str,
        since: str,
        cursor: str | None,
        timeout: float,  # noqa: ASYNC109 - given on to the call
        follow: Follow | None = None,
    ) -> Page:
        """Return what changed at `since` (an instant) or later, or the page that `cursor`, the `next` of another one, is for.

        `follow` is called with the `next` of the page as soon as it is there, before the page is read: one that is refused then
        is still refused. Raises `ServiceUnavailable`, `CursorLost`, and `AnswerRefused` for what the contract does not say. `timeout` is in seconds.
        """
        query = cursor or urlencode({"_lastUpdated": f"ge{since}", "_sort": "_lastUpdated", "_count": MOST})
        call = Call("pit", "GET", f"{PATH}?{query}", (("Accept", "application/fhir+json"),), b"")
        answer = await self._caller.ask(call, orgnr, self.upstream.scopes.read, timeout)
        if cursor is not None and answer.status in _CURSOR_GONE:
            raise CursorLost
        if answer.status != 200:
            raise AnswerRefused(f"PIT answered {answer.status} to its documented question")
        if follow is not None and (following := next_of(answer.body, cursor)) is not None:
            follow(following)
        try:
            is_short = len(answer.body) <= _SHORT
            page = page_of(answer.body, cursor) if is_short else await self._pages.read(answer.body, cursor, timeout)
        except Refused as error:
            raise AnswerRefused(str(error)) from None
        except ProcessLost as error:
            raise ServiceUnavailable(f"a page of PIT could not be read: {error}") from None
        return Page(page.patients, page.next, _answered_at(answer))


def _answered_at(answer: Answer) -> float | None:
    try:
        return parsedate_to_datetime(answer.value(b"date") or "").timestamp()
    except (ValueError, TypeError, OverflowError):
        return None
