"""The municipalities, vendors and senders of routes.yaml."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import partial

from yaml import Node

from gateway.config import keys, nodes, patient_ids, values
from gateway.config.definitions import Epj, Municipality, Sender, Vendor
from gateway.config.nodes import quoted
from gateway.config.places import Environment
from gateway.config.reader import Fields, Reader
from translators.terminology import history_names

SERVICES = ("jft", "pit", "okt", "pmd")


@dataclass(frozen=True, slots=True)
class Municipalities:
    """What could be read of the municipalities, and every short name that the file has."""

    known: dict[str, Municipality]
    """Those whose cells can be judged, because their record system could be read."""
    names: Collection[str] | None
    """None when they could not be read."""


@dataclass(frozen=True, slots=True)
class Vendors:
    """The vendors and senders that can be used, and every short name that the file has."""

    known: dict[str, Vendor]
    senders: tuple[Sender, ...]
    systems: Mapping[str, Collection[str] | None] | None
    """Vendor to its systems; None for what could not be read."""
    sender_keys: Mapping[str, str] | None = None
    """What envelopes call a sender, by its vkp-id and by its HER-id; None when some sender could not be read."""


class Uniques:
    """Identifiers that may stand in the file once."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._first: dict[tuple[str, str], int] = {}

    def claim(self, what: str, value: str | None, node: Node) -> None:
        """Report `value` when the same kind of identifier has it further up."""
        if value is None:
            return
        line = node.start_mark.line + 1
        first = self._first.setdefault((what, value), -line)
        if first < 0:
            self._first[what, value] = line
        else:
            self._reader.error(node, f"{what} {quoted(value)} is already used at line {first}")


def municipalities(reader: Reader, node: Node) -> Municipalities:
    """Read every municipality; an orgnr and a HER-id belong to one only."""
    uniques = Uniques(reader)
    found = reader.named(node)
    known: dict[str, Municipality] = {}
    for name, (key, value) in found.items():
        if (municipality := _municipality(reader, name, key, value, uniques)) is not None:
            known[name] = municipality
    return Municipalities(known, found.keys() if nodes.is_mapping(node) else None)


def vendors(reader: Reader, node: Node, names: Collection[str] | None, environment: Environment | None) -> Vendors:
    """Read every vendor with its systems and senders; `names` are the municipalities."""
    before = len(reader.problems)
    senders = _Senders(reader, names, environment)
    known: dict[str, Vendor] = {}
    systems: dict[str, Collection[str] | None] = {}
    for name, (key, value) in reader.named(node).items():
        systems[name] = None
        if (fields := reader.fields(value, keys.VENDOR)) is None:
            continue
        full = fields.get("name", reader.text)
        entries = fields.get("systems", reader.named) or {}
        systems[name] = entries.keys() if nodes.is_mapping(fields.value("systems")) else None
        named = {system: _system(reader, name, system, at, senders) for system, (_, at) in entries.items()}
        if full is not None:
            known[name] = Vendor(name, full, {key: text or "" for key, text in named.items()}, reader.place(key))
    sender_keys = senders.keys() if len(reader.problems) == before else None
    return Vendors(known, tuple(senders.found), systems if nodes.is_mapping(node) else None, sender_keys)


def _municipality(reader: Reader, name: str, key: Node, node: Node, uniques: Uniques) -> Municipality | None:
    if (fields := reader.fields(node, keys.MUNICIPALITY)) is None:
        return None
    full = fields.get("name", reader.text)
    orgnr = fields.get("orgnr", partial(values.orgnr, reader))
    uniques.claim("orgnr", orgnr, fields.value("orgnr"))
    her_ids: list[str] = []
    for item in fields.get("her_ids", reader.items) or []:
        if (her_id := reader.identifier(item)) is not None:
            uniques.claim("her_id", her_id, item)
            her_ids.append(her_id)
    epj = fields.get("epj", partial(_epj, reader))
    numbers = fields.get("patient_ids", partial(patient_ids.local_numbers, reader)) or {}
    if epj is None:
        return None
    return Municipality(name, full or "", orgnr or "", tuple(her_ids), epj, reader.place(key), numbers)


def _epj(reader: Reader, node: Node) -> Epj | None:
    before = len(reader.problems)
    if (fields := reader.fields(node, keys.EPJ)) is None:
        return None
    system = fields.get("system", reader.text)
    generation = fields.get("generation", lambda at: reader.choice(at, "generation", ("legacy", "new")))
    reads = fields.get("reads", partial(_services, reader)) or ()
    feeds = fields.get("feeds", partial(_services, reader)) or ()
    if system is None or generation is None or len(reader.problems) > before:
        return None
    return Epj(system, generation == "new", reads, feeds)


def _services(reader: Reader, node: Node) -> tuple[str, ...]:
    words = (reader.choice(item, "service", SERVICES) for item in reader.items(node))
    return tuple(word for word in words if word is not None)


def _code_history(reader: Reader, node: Node) -> tuple[tuple[str, str], ...]:
    known = history_names()
    found = []
    for name, (key, value) in reader.named(node).items():
        if reader.choice(key, "code system", sorted(known)) is None or name not in known:
            continue
        if (table := reader.choice(value, f"table of {name}", sorted(known[name]))) in known[name]:
            found.append((name, table))
    return tuple(found)


def _system(reader: Reader, vendor: str, system: str, node: Node, senders: "_Senders") -> str | None:
    if (fields := reader.fields(node, keys.SYSTEM)) is None:
        return None
    for item in fields.get("senders", reader.items) or []:
        senders.read(vendor, system, item)
    return fields.get("name", reader.text)


class _Senders:
    """Reads senders; a vkp-id or HER-id occurs once in the file."""

    def __init__(self, reader: Reader, names: Collection[str] | None, environment: Environment | None) -> None:
        self.found: list[Sender] = []
        self._reader = reader
        self._names = names
        self._environment = environment
        self._uniques = Uniques(reader)

    def read(self, vendor: str, system: str, node: Node) -> None:
        """Read one sender of a vendor's system."""
        reader = self._reader
        if (fields := reader.fields(node, keys.SENDER)) is None:
            return
        vkp_id = fields.get("vkp_id", reader.identifier)
        her_id = fields.get("her_id", reader.identifier)
        self._uniques.claim("vkp_id", vkp_id, fields.value("vkp_id"))
        self._uniques.claim("her_id", her_id, fields.value("her_id"))
        if "vkp_id" not in fields and "her_id" not in fields:
            reader.error(node, 'a sender needs "vkp_id" or "her_id"')
        municipality = self._municipality(fields)
        codes = fields.get("service_codes", reader.identifiers) or ()
        rate = fields.get("rate", partial(values.rate, reader))
        history = fields.get("code_history", partial(_code_history, reader)) or ()
        place = reader.place(node)
        self.found.append(Sender(vendor, system, vkp_id, her_id, municipality, codes, rate, place, history))

    def keys(self) -> dict[str, str]:
        """Return what envelopes call each sender, by every identifier that it has."""
        by_her_id = {one.her_id: one.key for one in self.found if one.her_id is not None}
        return by_her_id | {one.vkp_id: one.key for one in self.found if one.vkp_id is not None}

    def _municipality(self, fields: Fields) -> frozenset[str] | None:
        """Read which municipalities the sender may call; None means all."""
        reader = self._reader
        if "municipalities" in fields:
            self._all(fields)
        elif "municipality" not in fields:
            reader.error(fields.node, 'a sender needs "municipality", or "municipalities: all"')
        name = fields.get("municipality", lambda node: reader.known(node, "municipality", self._names))
        return None if name is None else frozenset({name})

    def _all(self, fields: Fields) -> None:
        reader = self._reader
        node = fields.value("municipalities")
        word = reader.choice(node, "value of municipalities", ("all",))
        if "municipality" in fields:
            reader.error(fields.key("municipalities"), '"municipality" and "municipalities" exclude each other')
        elif word == "all" and self._environment is Environment.PRODUCTION:
            reader.error(node, "municipalities: all is allowed in environment test only")
