"""The search of JFT's ReadAPI: parameters, paging by cursor, and the searchset."""

import base64
import binascii
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlencode

import msgspec

from service_stubs.jft_events import Event
from service_stubs.problems import Fault, ProblemError

_SORTS = ("_lastUpdated", "-_lastUpdated")
_PARAMETERS = ("_count", "_sort", "_lastUpdated", "_tag", "_tag:not", "cursor")
_REPEATABLE = ("_lastUpdated", "_tag", "_tag:not")
_MAX_COUNT = 50
_DEFAULT_COUNT = 20
_LAST_UPDATED = re.compile(
    r"(?P<prefix>gt|ge|lt|le)(?P<time>\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(?::\d{2}(?:\.\d{1,6})?)?(?:Z|[+-]\d{2}:\d{2}))"
)

Keeps = Callable[[Event], bool]


@dataclass(frozen=True)
class Query:
    """A checked search."""

    pairs: Sequence[tuple[str, str]]
    count: int
    descending: bool
    filters: Sequence[Keeps]

    def page(self, events: Iterable[Event]) -> tuple[list[Event], str | None]:
        """Return the events of this page, and where the next one begins; None where none follows.

        To be asked before they are noted as read: that moves them.
        """
        found = [event for event in events if all(keeps(event) for keeps in self.filters)]
        found.sort(key=lambda event: event.place, reverse=self.descending)
        page = found[: self.count]
        return page, _cursor(page[-1]) if len(found) > self.count else None


def read_query(pairs: Sequence[tuple[str, str]]) -> Query:
    """Check the parameters; unknown ones are refused, so that a misspelt filter does not go unnoticed."""
    names = [name for name, _ in pairs]
    for name in names:
        if name not in _PARAMETERS or (name not in _REPEATABLE and names.count(name) > 1):
            raise _refused(name, "unknown or repeated parameter")
    single = dict(pairs)
    descending = _sort(single.get("_sort", _SORTS[0]))
    filters = [_filter(name, value) for name, value in pairs if name in _REPEATABLE]
    if "cursor" in single:
        filters.append(_after(single["cursor"], descending=descending))
    return Query(pairs, _count(single.get("_count", str(_DEFAULT_COUNT))), descending, filters)


def searchset(events: Sequence[Event], query: Query, base: str, cursor: str | None) -> bytes:
    """Return the searchset Bundle; `next` carries the search on at `cursor`."""
    links = [_link("self", base, query.pairs)]
    if cursor is not None:
        rest = [pair for pair in query.pairs if pair[0] != "cursor"]
        links.append(_link("next", base, [*rest, ("cursor", cursor)]))
    entries = [
        {"fullUrl": f"{base}/{event.id}", "resource": msgspec.Raw(event.resource()), "search": {"mode": "match"}}
        for event in events
    ]
    bundle = {"resourceType": "Bundle", "type": "searchset", "link": links}
    return msgspec.json.encode({**bundle, "entry": entries} if entries else bundle)


def _count(value: str) -> int:
    if not re.fullmatch(r"[0-9]{1,2}", value) or not 1 <= int(value) <= _MAX_COUNT:
        raise _refused("_count", f"must be 1 to {_MAX_COUNT}")
    return int(value)


def _sort(value: str) -> bool:
    if value not in _SORTS:
        raise _refused("_sort", f"must be {' or '.join(_SORTS)}")
    return value.startswith("-")


def _filter(name: str, value: str) -> Keeps:
    return _updated(value) if name == "_lastUpdated" else _tagged(value, wanted=name == "_tag")


def _updated(value: str) -> Keeps:
    match = _LAST_UPDATED.fullmatch(value)
    try:
        limit = datetime.fromisoformat(match["time"]).timestamp() if match else None
    except ValueError:
        limit = None
    if match is None or limit is None:
        raise _refused("_lastUpdated", "needs gt, ge, lt or le and a time to the minute with offset")
    time = limit
    comparisons: dict[str, Keeps] = {
        "gt": lambda event: event.changed > time,
        "ge": lambda event: event.changed >= time,
        "lt": lambda event: event.changed < time,
        "le": lambda event: event.changed <= time,
    }
    return comparisons[match["prefix"]]


def _tagged(value: str, *, wanted: bool) -> Keeps:
    system, separator, code = value.rpartition("|")
    if not code and not separator:
        raise _refused("_tag", "must be a token")

    def has_tag(event: Event) -> bool:
        return any(
            (not separator or tag_system == system) and (not code or tag_code == code)
            for tag_system, tag_code in event.tags()
        )

    return lambda event: has_tag(event) is wanted


def _after(cursor: str, *, descending: bool) -> Keeps:
    try:
        changed, _, sequence = base64.b64decode(cursor, altchars=b"-_", validate=True).decode("ascii").partition(" ")
        place = float(changed), int(sequence)
    except (binascii.Error, ValueError) as error:
        raise _refused("cursor", "not a cursor of this service") from error
    if descending:
        return lambda event: event.place < place
    return lambda event: event.place > place


def _cursor(event: Event) -> str:
    changed, sequence = event.place
    return base64.urlsafe_b64encode(f"{changed!r} {sequence}".encode()).decode()


def _link(relation: str, base: str, pairs: Sequence[tuple[str, str]]) -> dict[str, str]:
    query = urlencode(pairs)
    return {"relation": relation, "url": f"{base}?{query}" if query else base}


def _refused(name: str, message: str) -> ProblemError:
    return ProblemError(400, "A search parameter is not valid.", [Fault(name, message)])
