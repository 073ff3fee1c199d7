"""From a file to a checked configuration and its compiled routes, or to every problem it has."""

import contextlib
import gc
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from yaml import Node

from gateway.config import read_settings, rules, schema, yaml_nodes
from gateway.config.model import Config, Environment, Problem, Severity
from gateway.config.read_cutovers import plans
from gateway.config.read_panics import panics
from gateway.config.read_parties import Municipalities, Vendors, municipalities, vendors
from gateway.config.read_people import people
from gateway.config.read_routes import Routes, routes
from gateway.config.read_upstreams import ClientNames, Upstreams, upstreams
from gateway.config.yaml_reader import Fields, Reader
from gateway.files import contents, replaced
from gateway.model import Place
from gateway.routing.index import Buckets
from gateway.routing.table import RouteTable


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration and its routes, both None when any problem is an error; problems in the order of the file."""

    config: Config | None
    table: RouteTable | None
    problems: tuple[Problem, ...]


def load(path: str) -> Loaded:
    """Read and check a file; one that cannot be read is a problem too, never an exception."""
    try:
        data = contents(Path(path), yaml_nodes.MOST_BYTES)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        return _refused(Place(path, 1, 1), f"cannot be read: {reason}")
    if len(data) > yaml_nodes.MOST_BYTES:
        return _refused(Place(path, 1, 1), f"larger than {yaml_nodes.MOST_BYTES // 1024 // 1024} MiB")
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        start = data.rfind(b"\n", 0, error.start) + 1
        place = Place(path, data.count(b"\n", 0, error.start) + 1, len(data[start : error.start].decode()) + 1)
        return _refused(place, f"byte 0x{data[error.start]:02X} is not UTF-8")
    return load_text(text, path, version_of(data))


def load_text(text: str, file: str, version: str = "") -> Loaded:
    """Check the text of a file; `file` is the name that problems carry, `version` what tells this content from others."""
    if len(text) > yaml_nodes.MOST_BYTES:
        return _refused(Place(file, 1, 1), f"larger than {yaml_nodes.MOST_BYTES // 1024 // 1024} MiB")
    with _without_collections():
        root = yaml_nodes.compose(text, file)
        if isinstance(root, Problem):
            return Loaded(None, None, (root,))
        return _load(root, Reader(file), version)


def _load(node: Node, reader: Reader, version: str) -> Loaded:
    root = reader.fields(node, schema.ROOT)
    if root is None:
        return Loaded(None, None, tuple(reader.problems))
    read_settings.version(reader, root)
    single = reader.values(root)
    environment, passes = single["environment"], single["unrecognised_passes"]
    settings = read_settings.settings(reader, root)
    draft = _draft(reader, root, environment, passes)
    persons = people(reader, root, settings.listen if settings else None, draft.municipalities.names)
    buckets = Buckets(one.route for one in draft.routes.parsed)
    shared = rules.check_shared(settings.listen, single["store"] or "", draft) if settings is not None else []
    every = [*reader.problems, *rules.check(draft, buckets), *shared]
    problems = tuple(sorted(every, key=lambda one: (one.place, one.text)))
    if settings is None or any(one.severity is Severity.ERROR for one in problems):
        return Loaded(None, None, problems)
    config = _config(reader.file, settings, draft, people=persons, version=version, **single)
    return Loaded(config, RouteTable.compile(config, buckets), problems)


def _config(file: str, settings: read_settings.Settings, draft: rules.Draft, **others: Any) -> Config:
    """Return the configuration of parts that are right; `others` are fields of its own."""
    return Config(
        file=file,
        listen=settings.listen,
        limits=settings.limits,
        unrecognised_paths=settings.unrecognised_paths,
        patient_numbers_also=settings.patient_numbers_also,
        helseid=settings.helseid,
        verify_in_legacy=settings.verify_in_legacy,
        upstreams=draft.upstreams.known,
        municipalities=draft.municipalities.known,
        vendors=draft.vendors.known,
        senders=draft.vendors.senders,
        routes=tuple(one.route for one in draft.routes.parsed),
        panics=tuple(one.route for one in draft.panics),
        wordings=settings.wordings,
        tls=settings.tls,
        keys=settings.keys,
        retention=settings.retention,
        freezes=draft.plans.freezes,
        cutovers={one.name: one.plan for one in draft.plans.cutovers if one.plan is not None},
        guard_reload=draft.plans.guard_reload,
        sunset=draft.plans.sunset,
        **others,
    )


def _draft(reader: Reader, root: Fields, environment: Environment | None, passes: bool | None) -> rules.Draft:
    """Read the named parts; what is missing altogether is reported already."""
    parties = root.get("municipalities", partial(municipalities, reader)) or Municipalities({}, None)
    sellers = root.get("vendors", lambda node: vendors(reader, node, parties.names, environment))
    sellers = sellers or Vendors({}, (), None)
    names = ClientNames(parties.names, sellers.systems)
    servers = root.get("upstreams", lambda node: upstreams(reader, node, names))
    servers = servers or Upstreams({}, frozenset(), clear=False)
    ways = root.get("routes", lambda node: routes(reader, node, parties, sellers)) or Routes((), None)
    planned = plans(reader, root, environment, parties, sellers)
    back = root.get("panics", lambda node: panics(reader, node, parties, sellers)) or ()
    place = reader.place(root.key("upstreams"))
    return rules.Draft(environment, passes, servers, parties, sellers, ways, place, planned, back)


def _refused(place: Place, text: str) -> Loaded:
    return Loaded(None, None, (Problem(place, Severity.ERROR, text),))


@contextmanager
def _without_collections() -> Iterator[None]:
    """Pause the cyclic collector: a large file makes many nodes that all live, and looking through them costs most."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


_KEPT = "var/last-good-routes.yaml"
"""The last file that a gateway took, for a start while the file has an error."""
Stamp = tuple[int, int]


def version_of(data: bytes) -> str:
    """Return what tells one content of the file from another, as `load` does."""
    return hashlib.sha256(data).hexdigest()[:12]


def stamp(path: Path) -> Stamp | None:
    """Return what changes when a file does; None while it cannot be looked at."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


def remember(path: Path, version: str) -> str | None:
    """Keep a copy of the file at `path` if it still is of this version; return why none is kept, None where one is."""
    kept = path.parent / _KEPT
    try:
        with contextlib.suppress(OSError):
            if version_of(contents(kept, yaml_nodes.MOST_BYTES)) == version:
                return None
        data = contents(path, yaml_nodes.MOST_BYTES)
        if version_of(data) != version:
            return "the file has changed meanwhile"
        replaced(kept, data)
    except OSError as error:
        return error.strerror or type(error).__name__
    return None


def recall(path: Path) -> Loaded | None:
    """Load the copy that was kept of the file at `path`; None when there is none.

    Its problems name the file itself, and its paths start where the file's do.
    """
    try:
        data = contents(path.parent / _KEPT, yaml_nodes.MOST_BYTES)
        return load_text(data.decode(), str(path), version_of(data))
    except (OSError, UnicodeDecodeError):
        return None
