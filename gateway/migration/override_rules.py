"""What people may set over the routes at run time, written as a route of routes.yaml is; checked as the file is, by the same rules."""

import re
import secrets
from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from gateway.config.model import Config
from gateway.config.route_specs import checked
from gateway.routing.route import Route, RouteSpec
from gateway.times import DAY

LONGEST = 90 * DAY
"""Seconds that an override may hold; what is to stay belongs into routes.yaml."""
_SELECTORS = ("municipality", "vendor", "system", "information")


class OverrideRequest(Struct, frozen=True):
    """An override that is asked for: the keys of a route of routes.yaml, with the values that they have there, and its end."""

    route: Mapping[str, Any]
    """Keys that are left out, or None, have the default of the file; numbers are parts of 1, and seconds."""
    until: float
    """Seconds since the epoch."""


def route_of(wanted: Mapping[str, Any], config: Config) -> tuple[Route | None, list[str]]:
    """Return the route that keys and values mean under a configuration, or why they mean none."""
    found = checked([wanted], config)
    problems = [one.text for one in found.errors]
    return (None, problems) if problems or not found.routes else (found.routes[0], [])


def problems_of(wanted: OverrideRequest, config: Config, now: float) -> list[str]:
    """Return why an override is not accepted under a configuration; nothing when it is."""
    problems = (
        [] if any(wanted.route.get(name) for name in _SELECTORS) else ["it names no cell: " + ", ".join(_SELECTORS)]
    )
    problems += route_of(wanted.route, config)[1]
    if wanted.until <= now:
        problems.append("until: that time has passed")
    elif wanted.until > now + LONGEST:
        problems.append(f"until: at most {LONGEST / DAY:.0f} days from now; what is to stay belongs into routes.yaml")
    return problems


_ETAG = re.compile(r'\s*"([0-9]{1,9})"\s*')


def new_name(kind: str) -> str:
    """Return a random name for a rule; its kind stands in front."""
    return f"{kind}-{secrets.token_hex(6)}"


def versions_of(if_match: str) -> frozenset[int]:
    """Return the versions that an If-Match field names; what is none, as `*` or a weak one, matches nothing (RFC 9110)."""
    found = (_ETAG.fullmatch(part) for part in if_match.split(","))
    return frozenset(int(each[1]) for each in found if each is not None)


def etag(version: int) -> str:
    """Return a version as ETag and If-Match have it."""
    return f'"{version}"'


def shown(route: Route) -> dict[str, Any]:
    """Return the keys of a route with their values, numbers as parts of 1 and seconds; policies only where not the default."""
    return RouteSpec.of(route).as_keys()
