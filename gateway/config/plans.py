"""How routes change over time: cutovers with their conditions, windows in which nothing switches, the end of VKP."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from email.utils import format_datetime
from zoneinfo import ZoneInfo

from gateway.model import Headers, Place
from gateway.routing.route import Route


@dataclass(frozen=True, slots=True)
class Freeze:
    """A window in which nothing switches."""

    begins: datetime
    ends: datetime
    reason: str
    place: Place

    def holds(self, at: datetime) -> bool:
        """Tell whether nothing switches then."""
        return self.begins <= at < self.ends


@dataclass(frozen=True, slots=True)
class Gate:
    """What rehearsals of the cells of a cutover must have shown."""

    rehearsed_at_least: int
    """Messages: without data there is no pass."""
    clean_at_least: float
    """The share of them without a refusal, 0 to 1."""
    within: float
    """Seconds before the switch."""


@dataclass(frozen=True, slots=True)
class RollBackWhen:
    """When a cutover that has switched rolls itself back."""

    failed_at_least: float
    """The share of its messages that failed, 0 to 1."""
    of_at_least: int
    """Messages."""
    within: float
    """Seconds that are looked back over, and for which it is watched after the switch."""
    held_at_least: float | None = None
    """The share of its messages that wait to be delivered, 0 to 1; None: they say nothing."""


@dataclass(frozen=True, slots=True)
class CutoverPlan:
    """A named, scheduled change of cells."""

    name: str
    at: datetime
    routes: tuple[Route, ...]
    """What is set; as specific as they are, as routes of the file."""
    gate: Gate | None
    roll_back_when: RollBackWhen | None
    approvals: int
    """People other than the one who submitted it."""
    place: Place
    step_back: bool = False
    """Whether it may take cells back to VKP."""


@dataclass(frozen=True, slots=True)
class Sunset:
    """The published end of VKP."""

    deprecated: date | None
    ends: date | None
    headers: bool
    """Whether answers of legacy routes say so (RFC 9745, RFC 8594)."""


_NORWAY = ZoneInfo("Europe/Oslo")


def announced(sunset: Sunset | None) -> Headers:
    """Return the fields that answers of legacy routes carry; none unless the configuration asks for them.

    A date means its first moment in Norway.
    """
    if sunset is None or not sunset.headers:
        return ()
    deprecated = ((b"Deprecation", b"@%d" % int(_begins(sunset.deprecated).timestamp())),) if sunset.deprecated else ()
    ends = ((b"Sunset", _http_date(_begins(sunset.ends))),) if sunset.ends else ()
    return deprecated + ends


def _begins(day: date) -> datetime:
    return datetime.combine(day, time(), _NORWAY)


def _http_date(moment: datetime) -> bytes:
    return format_datetime(moment.astimezone(UTC), usegmt=True).encode("ascii")
