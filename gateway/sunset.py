"""The published end of VKP, as its answers say it: Deprecation (RFC 9745) and Sunset (RFC 8594)."""

from datetime import UTC, date, datetime, time
from email.utils import format_datetime
from zoneinfo import ZoneInfo

from gateway.config.plans import Sunset
from gateway.model import Headers

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
