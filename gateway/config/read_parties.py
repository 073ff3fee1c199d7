"""The municipalities, vendors and senders of routes.yaml."""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from yaml import Node

from gateway.config import party_keys, values, yaml_nodes
from gateway.config.model import Environment, Epj, Municipality, Resolver, Sender, ServicesFrom, Vendor
from gateway.config.service_file import FileUnusable, read_services
from gateway.config.yaml_nodes import quoted
from gateway.config.yaml_reader import Fields, Reader
from gateway.files import contents
from gateway.model import same_number
from translators.national_number import kind_of
from translators.terminology import history_names

_PATTERN = re.compile(r"[0-9.%]+")
_KOMMUNENUMMER = re.compile("[0-9]{4}")


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
        claimed = (what, same_number(value) if what == "her_id" else value)
        first = self._first.setdefault(claimed, -line)
        if first < 0:
            self._first[claimed] = line
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
    return Municipalities(known, found.keys() if yaml_nodes.is_mapping(node) else None)


def vendors(reader: Reader, node: Node, names: Collection[str] | None, environment: Environment | None) -> Vendors:
    """Read every vendor with its systems and senders; `names` are the municipalities."""
    before = len(reader.problems)
    senders = _Senders(reader, names, environment)
    known: dict[str, Vendor] = {}
    systems: dict[str, Collection[str] | None] = {}
    for name, (key, value) in reader.named(node).items():
        systems[name] = None
        if (fields := reader.fields(value, party_keys.VENDOR)) is None:
            continue
        full = fields.get("name", reader.text)
        entries = fields.get("systems", reader.named) or {}
        systems[name] = entries.keys() if yaml_nodes.is_mapping(fields.value("systems")) else None
        named = {system: _system(reader, name, system, at, senders) for system, (_, at) in entries.items()}
        if full is not None:
            known[name] = Vendor(name, full, {key: text or "" for key, text in named.items()}, reader.place(key))
    sender_keys = senders.keys() if len(reader.problems) == before else None
    return Vendors(known, tuple(senders.found), systems if yaml_nodes.is_mapping(node) else None, sender_keys)


def _municipality(reader: Reader, name: str, key: Node, node: Node, uniques: Uniques) -> Municipality | None:
    if (fields := reader.fields(node, party_keys.MUNICIPALITY)) is None:
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
    numbers, resolvers = fields.get("patient_ids", partial(patient_ids, reader)) or ({}, {})
    unknown = fields.get("unknown_codes", lambda at: reader.choice(at, "value of unknown_codes", ("refuse", "pass")))
    services_from = fields.get("services_from", partial(_services_from, reader))
    profile = fields.get("partner_profile", partial(_partner_profile, reader)) or {}
    kommunenummer = fields.get("kommunenummer", partial(_kommunenummer, reader))
    if epj is None:
        return None
    return Municipality(
        name,
        full or "",
        orgnr or "",
        tuple(her_ids),
        epj,
        reader.place(key),
        numbers,
        unknown_codes_pass=unknown == "pass",
        resolvers=resolvers,
        services_from=services_from,
        partner_profile=profile,
        kommunenummer=kommunenummer,
    )


def _services_from(reader: Reader, node: Node) -> ServicesFrom | None:
    if reader.is_null(node):
        return None
    place = reader.place(node)
    if not yaml_nodes.is_mapping(node):
        return ServicesFrom(None, place) if reader.choice(node, "value of services_from", ("okt",)) == "okt" else None
    fields = reader.fields(node, party_keys.SERVICES_FROM)
    file = fields.get("file", reader.text) if fields is not None else None
    if fields is None or file is None:
        return None
    try:
        read_services(Path(reader.file).parent / file)
    except FileUnusable as unusable:
        # The gateway goes on with what the file said before.
        for problem in unusable.problems:
            reader.warn(fields.value("file"), f"{quoted(file)}: {problem}")
    return ServicesFrom(file, place)


def _partner_profile(reader: Reader, node: Node) -> dict[str, tuple[str, ...]]:
    """Read the patterns of each ServiceCode, in upper case."""
    found = {}
    for code, (_, value) in reader.named(node).items():
        patterns = []
        for item in reader.items(node=value):
            if (text := reader.identifier(item)) is not None and _PATTERN.fullmatch(text) is None:
                reader.error(item, f"expected a pattern such as %.2.1 (digits, dots and %), found {quoted(text)}")
            elif text is not None:
                patterns.append(text)
        found[code.upper()] = tuple(patterns)
    return found


def _kommunenummer(reader: Reader, node: Node) -> str | None:
    text = None if reader.is_null(node) else reader.identifier(node, "a kommunenummer")
    if text is not None and _KOMMUNENUMMER.fullmatch(text) is None:
        reader.error(node, f"expected a kommunenummer of four digits, found {quoted(text)}")
        return None
    return text


def _epj(reader: Reader, node: Node) -> Epj | None:
    fields = reader.fields(node, party_keys.EPJ)
    if fields is None:
        return None
    place = reader.place(fields.value("upstream")) if "upstream" in fields else None
    return reader.made(fields, Epj, upstream_place=place)


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
    if (fields := reader.fields(node, party_keys.SYSTEM)) is None:
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
        if (fields := reader.fields(node, party_keys.SENDER)) is None:
            return
        read = {name: value for name, value in reader.values(fields).items() if value is not None}
        for name in ("vkp_id", "her_id"):
            self._uniques.claim(name, read.setdefault(name, None), fields.value(name))
        if "vkp_id" not in fields and "her_id" not in fields:
            reader.error(node, 'a sender needs "vkp_id" or "her_id"')
        self.found.append(
            Sender(
                vendor,
                system,
                municipalities=self._municipality(fields),
                place=reader.place(node),
                code_history=fields.get("code_history", partial(_code_history, reader)) or (),
                **read,
            )
        )

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


Numbers = dict[tuple[str, str], str]
"""National identity numbers by identifier system and local number."""

MOST_BYTES = 16 * 1024 * 1024
_MOST_PROBLEMS = 20
"""Of one table; a file of another kind would have one in each line."""
_RESOLVERS = ("table", "pit", "vkp")


def patient_ids(reader: Reader, node: Node) -> tuple[Numbers, dict[str, Resolver]]:
    """Read every table of a municipality, with the files that they name, and who is asked where there is none."""
    found: Numbers = {}
    resolvers: dict[str, Resolver] = {}
    for system, (key, value) in reader.mapping(node).items():
        if not system.strip():
            reader.error(key, "expected an identifier system, found nothing")
        match _resolved(reader, value):
            case "pit" | "vkp" as resolver:
                resolvers[system] = resolver
            case dict() as table:
                found |= {(system, number): national for number, national in table.items()}
    return found, resolvers


def _resolved(reader: Reader, node: Node) -> dict[str, str] | Resolver | None:
    """Return the table of one identifier system, or who is asked in place of it."""
    if (fields := reader.fields(node, party_keys.PATIENT_IDS)) is None:
        return None
    resolve = fields.get("resolve", lambda at: reader.choice(at, "value of resolve", _RESOLVERS))
    file = fields.get("file", reader.text)
    if resolve == "table":
        if "file" not in fields:
            reader.error(node, '"file" is missing: resolve: table needs it')
        return _read(reader, file, fields.value("file")) if file is not None else {}
    if resolve not in ("pit", "vkp"):
        return None
    if "file" in fields:
        reader.error(fields.key("file"), '"file" belongs to resolve: table')
    return "pit" if resolve == "pit" else "vkp"


def _read(reader: Reader, file: str, node: Node) -> dict[str, str]:
    try:
        text = _text(Path(reader.file).parent / file)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        reader.error(node, f"{quoted(file)} cannot be read: {reason}")
        return {}
    found: dict[str, str] = {}
    problems = list(_fill(found, text))
    for problem in problems[:_MOST_PROBLEMS]:
        reader.error(node, f"{quoted(file)}, {problem}")
    if len(problems) > _MOST_PROBLEMS:
        reader.error(node, f"{quoted(file)}: {len(problems) - _MOST_PROBLEMS} more lines are wrong")
    return found


def _text(path: Path) -> str:
    """Return what a file holds; raises `OSError` or `ValueError`, and never waits for a pipe."""
    data = contents(path, MOST_BYTES)
    if len(data) > MOST_BYTES:
        raise ValueError(f"larger than {MOST_BYTES // 1024 // 1024} MiB")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ValueError(f"line {line} is not UTF-8") from None


def _fill(found: dict[str, str], text: str) -> Iterator[str]:
    """Take each line into `found`; yield what is wrong with it, by its number alone."""
    first: dict[str, int] = {}
    lines = text.split("\n")
    separator = ";" if ";" in lines[0] else ","
    for line, row in enumerate(lines, 1):
        cells = [cell.strip().strip('"').strip() for cell in row.split(separator)]
        if not any(cells):
            continue
        if len(cells) != 2 or not all(cells):
            yield f"line {line}: expected two columns, a local number and a national one"
        elif cells[0] in first:
            yield f"line {line}: the local number stands in line {first[cells[0]]} already"
        elif kind_of(cells[1]) is None:
            yield f"line {line}: the second column is not a valid national identity number"
        else:
            first[cells[0]] = line
            found[cells[0]] = cells[1]
