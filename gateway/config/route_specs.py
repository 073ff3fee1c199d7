"""Routes that are not written in the file: of an override, and of a cutover that people submit. The rules are those of the file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from gateway.config import read_routes, rules, yaml_nodes
from gateway.config.model import Config, Problem, Severity
from gateway.config.read_parties import Municipalities, Vendors
from gateway.config.read_upstreams import Upstreams
from gateway.config.route_keys import as_written
from gateway.config.yaml_reader import Reader
from gateway.model import Place
from gateway.routing.index import Buckets
from gateway.routing.route import Route

_FILE = "routes"
_FIRST_LINE = 2
"""Each route has a line of its own, behind the one that begins the list."""


@dataclass(frozen=True, slots=True)
class SpecProblem:
    """What is wrong with one of the routes, in the words that `check` has for the same in the file."""

    number: int
    """Counts from 0."""
    severity: Severity
    text: str


@dataclass(frozen=True, slots=True)
class CheckedSpecs:
    """The routes that are meant, as far as they could be read, and every problem."""

    routes: tuple[Route, ...]
    problems: tuple[SpecProblem, ...]

    @property
    def errors(self) -> tuple[SpecProblem, ...]:
        """What makes them unusable."""
        return tuple(one for one in self.problems if one.severity is Severity.ERROR)


def checked(specs: Sequence[Mapping[str, Any]], config: Config) -> CheckedSpecs:
    """Read and check routes under a configuration, each by its keys: parts are numbers of 1, or as in the file; likewise seconds.

    What they leave uncovered is for the routes below, and so is no problem.
    """
    lines = ",\n".join(msgspec.json.encode(as_written(spec)).decode() for spec in specs)
    root = yaml_nodes.compose(f"[\n{lines}\n]", _FILE)
    if isinstance(root, Problem):
        return CheckedSpecs((), (_told(root),))
    reader = Reader(_FILE)
    municipalities, vendors = _parties(config)
    found = read_routes.routes(reader, root, municipalities, vendors)
    problems = list(reader.problems)
    routes = tuple(one.route for one in found.parsed)
    if not any(one.severity is Severity.ERROR for one in problems):
        draft = rules.Draft(
            environment=config.environment,
            unrecognised_passes=False,
            upstreams=_upstreams(config),
            municipalities=municipalities,
            vendors=vendors,
            routes=found,
            upstreams_place=Place(_FILE, _FIRST_LINE, 1),
        )
        problems += (one for one in rules.check_cells(draft, Buckets(routes)) if one.place.file == _FILE)
    return CheckedSpecs(routes, tuple(map(_told, problems)))


def _told(problem: Problem) -> SpecProblem:
    return SpecProblem(max(0, problem.place.line - _FIRST_LINE), problem.severity, problem.text)


def _parties(config: Config) -> tuple[Municipalities, Vendors]:
    """Return what the names in a route are looked up in."""
    systems = {vendor.key: tuple(vendor.systems) for vendor in config.vendors.values()}
    names = {one.her_id: one.key for one in config.senders if one.her_id is not None}
    names |= {one.vkp_id: one.key for one in config.senders if one.vkp_id is not None}
    municipalities = Municipalities(config.municipalities, tuple(config.municipalities))
    return municipalities, Vendors(config.vendors, config.senders, systems, names)


def _upstreams(config: Config) -> Upstreams:
    return Upstreams(config.upstreams, frozenset(one.KIND for one in config.upstreams.values()), clear=True)
