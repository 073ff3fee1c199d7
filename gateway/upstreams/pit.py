"""Client of Pasientinformasjonstjenesten (PIT): the patients of a municipality that changed since a time, page by page.

NHN's page of 2026-06-17: `GET /v1/Patient` with `_lastUpdated` (a prefix, and at least the minute), `_count` to 50, `_sort`,
and a cursor in the `next` link. Nothing else can be asked for.
"""

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlencode, urlsplit

import msgspec

from gateway.config.upstreams import PitUpstream
from gateway.upstreams.http_client import Answer
from gateway.upstreams.service_caller import AnswerRefused, ServiceCaller, ServiceUnavailable
from translators.contract import Call, Reason, Refused, Tree
from translators.fhir.json_codec import decode
from translators.pit import PitPatient, patient_of

__all__ = ["AnswerRefused", "CursorLost", "Page", "PitClient", "ServiceUnavailable"]

PATH = "/v1/Patient"
MOST = 50
"""Patients on a page, by NHN's page."""
ANSWER_LIMIT = 50 * 1024 * 1024
"""Bytes of a page: PIT takes a Patient of 900 KB, and a page has 50."""
_LONGEST_CURSOR = 4096
_SHORT = 8 * 1024
"""Bytes of an answer that are read at once."""
_QUERY = re.compile(r"[!-~]+")
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

    def __init__(self, upstream: PitUpstream, caller: ServiceCaller) -> None:
        self.upstream = upstream
        self._caller = caller

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
        first = urlencode({"_lastUpdated": f"ge{since}", "_sort": "_lastUpdated", "_count": MOST})
        call = Call("pit", "GET", f"{PATH}?{cursor or first}", (("Accept", "application/fhir+json"),), b"")
        answer = await self._caller.ask(call, orgnr, self.upstream.scopes.read, timeout)
        if cursor is not None and answer.status in _CURSOR_GONE:
            raise CursorLost
        if answer.status != 200:
            raise AnswerRefused(f"PIT answered {answer.status} to its documented question")
        try:
            if follow is not None and (following := _hint(answer, cursor)) is not None:
                follow(following)
            if len(answer.body) <= _SHORT:
                return _page(answer, cursor)
            # Fifty patients take longer than a sender's request should wait.
            return await asyncio.to_thread(_page, answer, cursor)
        except Refused as error:
            raise AnswerRefused(str(error)) from None


class _Links(msgspec.Struct):
    link: list[dict[str, Any]] = []


def _hint(answer: Answer, cursor: str | None) -> str | None:
    """Return where the next page is, where that can be told without reading the rest."""
    try:
        following = _next({"link": list[Tree](msgspec.json.decode(answer.body, type=_Links).link)})
    except (msgspec.DecodeError, Refused, UnicodeError, RecursionError):
        return None
    return following if following != cursor else None


def _page(answer: Answer, cursor: str | None) -> Page:
    bundle = decode(answer.body)
    if not isinstance(bundle, dict) or bundle.get("resourceType") != "Bundle":
        raise Refused(Reason.FORMAT, "not a Bundle", "Bundle.resourceType")
    if bundle.get("type") != "searchset":
        raise Refused(Reason.FORMAT, "not a searchset", "Bundle.type")
    following = _next(bundle)
    if following is not None and following == cursor:
        raise Refused(Reason.FORMAT, "the cursor leads to the page that it is on", "Bundle.link")
    patients = [patient for index, entry in enumerate(_list(bundle, "entry")) if (patient := _patient(entry, index))]
    return Page(tuple(patients), following, _answered_at(answer))


def _patient(entry: Tree, index: int) -> PitPatient | None:
    """Return the patient of an entry; None for what PIT says about the search itself."""
    path = f"Bundle.entry[{index}]"
    if not isinstance(entry, dict):
        raise Refused(Reason.FORMAT, "not an object", path)
    resource, search = entry.get("resource"), entry.get("search")
    mode = search.get("mode") if isinstance(search, dict) else None
    if mode == "outcome" and isinstance(resource, dict) and resource.get("resourceType") == "OperationOutcome":
        if any(isinstance(one, dict) and one.get("severity") in ("error", "fatal") for one in _list(resource, "issue")):
            raise Refused(Reason.FORMAT, "PIT says that something was wrong", path)
        return None
    if mode not in (None, "match"):
        raise Refused(Reason.FORMAT, "neither a match nor said of the search", f"{path}.search.mode")
    return patient_of(resource, f"{path}.resource")


def _next(bundle: dict[str, Tree]) -> str | None:
    """Return the query of the `next` link: where it leads is ours to say, for a token goes with it."""
    links = [(i, one) for i, one in enumerate(_list(bundle, "link")) if isinstance(one, dict)]
    following = [(f"Bundle.link[{index}].url", one.get("url")) for index, one in links if one.get("relation") == "next"]
    if not following:
        return None
    path, url = following[0]
    try:
        parts = urlsplit(url) if isinstance(url, str) else None
    except ValueError:
        parts = None
    if len(following) > 1 or parts is None or not parts.path.endswith(PATH):
        raise Refused(Reason.FORMAT, f"the next page is not at {PATH}", path)
    if len(parts.query) > _LONGEST_CURSOR or not _QUERY.fullmatch(parts.query):
        raise Refused(Reason.FORMAT, "no query that can be sent", path)
    return parts.query


def _list(owner: dict[str, Tree], name: str) -> list[Tree]:
    found = owner.get(name, [])
    if not isinstance(found, list):
        raise Refused(Reason.FORMAT, "not an array", f"{owner.get('resourceType')}.{name}")
    return found


def _answered_at(answer: Answer) -> float | None:
    try:
        return parsedate_to_datetime(answer.value(b"date") or "").timestamp()
    except (ValueError, TypeError):
        return None
