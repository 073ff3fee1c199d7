"""What people may set over the routes at run time, written as a route of routes.yaml is; checked as the file is, by the same rules."""

import re
import secrets
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from gateway.config import rules, yaml_reader
from gateway.config.model import Config
from gateway.config.places import Place, Problem
from gateway.config.read_cutovers import Plans
from gateway.config.read_parties import Municipalities, Vendors
from gateway.config.read_routes import ParsedRoute, routes
from gateway.config.read_upstreams import Upstreams
from gateway.config.routes import DAY, AnswerWhen, OnOutage, Route, Unclear
from gateway.config.upstreams import JftUpstream, VkpUpstream
from gateway.config.yaml_reader import Reader
from gateway.model import MEMBERS, Information
from gateway.routing.index import Buckets

LONGEST = 90 * DAY
"""Seconds that an override may hold; what is to stay belongs into routes.yaml."""
_FILE = "override"
_SELECTORS = ("municipality", "vendor", "system", "information")
_PARTS = ("share", "sample")
_NUMBERS = (*_PARTS, "acknowledge_within")
_KINDS = {VkpUpstream: "vkp", JftUpstream: "jft"}


class OverrideRequest(Struct, frozen=True):
    """An override that is asked for: the keys of a route of routes.yaml, with the values that they have there, and its end."""

    route: Mapping[str, Any]
    """Keys that are left out, or None, have the default of the file; numbers are parts of 1, and seconds."""
    until: float
    """Seconds since the epoch."""


def route_of(wanted: Mapping[str, Any], config: Config) -> tuple[Route | None, list[str]]:
    """Return the route that keys and values mean under a configuration, or why they mean none."""
    given = {name: _as_written(name, value) for name, value in wanted.items() if value is not None}
    root = yaml_reader.compose(msgspec.json.encode([given]).decode(), _FILE)
    if isinstance(root, Problem):
        return None, [root.text]
    reader = Reader(_FILE)
    municipalities, vendors = _parties(config)
    found = routes(reader, root, municipalities, vendors)
    if reader.problems or not found.parsed:
        return None, [each.text for each in reader.problems]
    there = Place(_FILE, 0, 0)
    draft = rules.Draft(
        environment=config.environment,
        unrecognised_passes=False,
        upstreams=_upstreams(config),
        municipalities=municipalities,
        vendors=vendors,
        routes=found,
        upstreams_place=there,
        plans=Plans(),
    )
    buckets = Buckets([one.route for one in found.parsed])
    # What the override leaves uncovered is for the routes of the file, and told at their places.
    problems = [each.text for each in rules.check(draft, buckets) if each.place.file == _FILE]
    return (None, problems) if problems else (_only(found.parsed), [])


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


def _as_written(name: str, value: Any) -> Any:
    """Return a value as routes.yaml has it: numbers are parts of 1, and seconds."""
    if isinstance(value, int | float) and name in _NUMBERS:
        number, unit = (value * 100, "%") if name in _PARTS else (value, "s")
        return f"{number:.6f}".rstrip("0").rstrip(".") + unit
    return value


def _only(parsed: tuple[ParsedRoute, ...]) -> Route:
    (one,) = parsed
    return one.route


def _parties(config: Config) -> tuple[Municipalities, Vendors]:
    """Return what the names in a route are looked up in."""
    systems = {vendor.key: tuple(vendor.systems) for vendor in config.vendors.values()}
    names = {one.her_id: one.key for one in config.senders if one.her_id is not None}
    names |= {one.vkp_id: one.key for one in config.senders if one.vkp_id is not None}
    municipalities = Municipalities(config.municipalities, tuple(config.municipalities))
    return municipalities, Vendors(config.vendors, config.senders, systems, names)


def _upstreams(config: Config) -> Upstreams:
    kinds = frozenset(_KINDS[type(one)] for one in config.upstreams.values())
    return Upstreams(config.upstreams, kinds, clear=True)


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


_PLAIN = {
    "losses": (),
    "answer": AnswerWhen.ACCEPTED,
    "on_outage": OnOutage.REFUSE,
    "unclear": Unclear.QUARANTINE,
    "always": (),
    "never": (),
}
"""Keys whose values are shown as they are, where they are not these."""


def shown(route: Route) -> dict[str, Any]:
    """Return the keys of a route with their values, numbers as parts of 1 and seconds; policies only where not the default."""
    found: dict[str, Any] = {
        **{name: getattr(route, name) for name in ("municipality", "vendor", "system")},
        "information": None if route.information is None else _words(route.information, route.grouped),
        "mode": route.mode.value,
        "text": route.text,
    }
    for name, default in _PLAIN.items():
        if (value := getattr(route, name)) != default:
            found[name] = list(value) if isinstance(value, tuple) else value.value
    for name, usual in (("share", None), ("sample", 1.0), ("acknowledge_within", DAY)):
        if (number := getattr(route, name)) != usual:
            found[name] = number
    return found


def _words(types: frozenset[Information], grouped: frozenset[Information]) -> list[str]:
    groups = [group.value for group, members in MEMBERS.items() if members & grouped]
    return [*groups, *sorted(each.value for each in types - grouped)]
