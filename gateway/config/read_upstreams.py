"""The servers of routes.yaml."""

from collections.abc import Collection
from dataclasses import dataclass
from functools import partial
from typing import Literal

from yaml import MappingNode, Node

from gateway.config import schema, values
from gateway.config.upstreams import (
    Breaker,
    Connections,
    Follow,
    Forwarded,
    Grant,
    JftUpstream,
    ServiceStatus,
    Upstream,
    UpstreamTls,
    VkpClient,
    VkpUpstream,
)
from gateway.config.yaml_reader import Fields, Reader
from gateway.model import Place

KINDS = (VkpUpstream.KIND, JftUpstream.KIND)
LATER_KINDS = ("pit", "okt", "pmd", "epj")
_SEVERAL = frozenset({"epj"})


@dataclass(frozen=True, slots=True)
class Upstreams:
    """The upstreams that can be used, by name, and which kinds the file has or may have."""

    known: dict[str, Upstream]
    kinds: frozenset[str]
    """Kinds that stand in the file, with faults or without."""
    clear: bool
    """False when some kind could not be read: then nothing can be said to be missing."""

    def lacks(self, kind: str) -> bool:
        """Tell whether the file certainly has no upstream of `kind`."""
        return self.clear and kind not in self.kinds


@dataclass(frozen=True, slots=True)
class Names:
    """The short names that clients of VKP may speak of; None for those that could not be read."""

    municipalities: Collection[str] | None
    vendors: Collection[str] | None


def upstreams(reader: Reader, node: Node, names: Names) -> Upstreams:
    """Read every upstream: at most one of a kind, but for record systems, of which each municipality may have its own."""
    known: dict[str, Upstream] = {}
    first: dict[str, Node] = {}
    clear = True
    for name, (key, value) in reader.named(node).items():
        kind_node = _kind_node(value)
        kind = _kind(reader, value)
        if kind is None:
            clear = False
            continue
        if kind in first and kind not in _SEVERAL:
            line = first[kind].start_mark.line + 1
            reader.error(kind_node or value, f"a second upstream of kind {kind} (first at line {line})")
            continue
        first.setdefault(kind, key)
        if (upstream := _READERS[kind](reader, name, value, reader.place(key), names)) is not None:
            known[name] = upstream
    return Upstreams(known, frozenset(first), clear)


def _kind_node(node: Node) -> Node | None:
    pairs = node.value if isinstance(node, MappingNode) else []
    return next((value for key, value in pairs if key.value == "kind"), None)


def _kind(reader: Reader, node: Node) -> str | None:
    """Read the kind before the rest, because it says which other keys there are."""
    if not isinstance(node, MappingNode):
        reader.unexpected(node, "a mapping")
        return None
    if (value := _kind_node(node)) is None:
        reader.error(node, '"kind" is missing')
        return None
    kind = reader.choice(value, "upstream kind", (*KINDS, *LATER_KINDS))
    if kind in LATER_KINDS:
        reader.error(value, f'upstream kind "{kind}" is not supported yet')
        return None
    return kind


def _vkp(reader: Reader, name: str, node: Node, place: Place, names: Names) -> Upstream | None:
    if (fields := reader.fields(node, schema.VKP)) is None:
        return None
    url = fields.get("url", partial(values.origin, reader))
    host = fields.get("host", partial(values.host, reader))
    sni = fields.get("sni", partial(values.host, reader))
    tls = fields.get("tls", partial(_tls, reader))
    connections = fields.get("connections", partial(_connections, reader))
    forwarded = fields.get("forwarded", lambda at: reader.choice(at, "value of forwarded", list(Forwarded)))
    via = fields.get("via", reader.boolean)
    clients = fields.get("clients", partial(_clients, reader, names)) or ()
    if url is None or host is None or sni is None or tls is None:
        return None
    if connections is None or forwarded is None or via is None:
        return None
    return VkpUpstream(
        name, url, _unless_pass(host), _unless_pass(sni), tls, connections, Forwarded(forwarded), via, place, clients
    )


def _clients(reader: Reader, names: Names, node: Node) -> tuple[VkpClient, ...]:
    """Read our own clients: one for a municipality, and one for a vendor there, each with a client id of its own."""
    found: list[VkpClient] = []
    for item in reader.items(node):
        if (client := _client(reader, names, item)) is None:
            continue
        for other in found:
            if (other.municipality, other.vendor) == (client.municipality, client.vendor):
                reader.error(item, f"a second client for {client.municipality}, as at line {other.place.line}")
            elif other.client_id == client.client_id and other.municipality != client.municipality:
                text = (
                    f"the client at line {other.place.line} has this client_id: VKP registers one for each municipality"
                )
                reader.error(item, text)
        found.append(client)
    return tuple(found)


def _client(reader: Reader, names: Names, node: Node) -> VkpClient | None:
    if (fields := reader.fields(node, schema.VKP_CLIENT)) is None:
        return None
    municipality = fields.get("municipality", lambda at: reader.known(at, "municipality", names.municipalities))
    vendor = fields.get("vendor", lambda at: reader.known(at, "vendor", names.vendors))
    client_id = fields.get("client_id", reader.identifier)
    key_file = fields.get("key_file", partial(values.key_source, reader))
    scope = fields.get("scope", reader.text)
    if municipality is None or client_id is None or key_file is None or scope is None:
        return None
    if vendor is None and "vendor" in fields:
        return None
    return VkpClient(municipality, vendor, client_id, key_file, scope, reader.place(node))


def _unless_pass(word: str) -> str | None:
    return None if word == "pass" else word


def _tls(reader: Reader, node: Node) -> UpstreamTls | None:
    if (fields := reader.fields(node, schema.UPSTREAM_TLS)) is None:
        return None
    if ("cert_file" in fields) != ("key_file" in fields):
        reader.error(node, "cert_file and key_file belong together")
    return UpstreamTls(*(fields.get(name, reader.text) for name in ("ca_file", "cert_file", "key_file")))


def _connections(reader: Reader, node: Node) -> Connections | None:
    if (fields := reader.fields(node, schema.CONNECTIONS)) is None:
        return None
    most = fields.get("most", partial(values.count, reader))
    names = ("idle", "age", "connect", "first_byte", "silence")
    times = [fields.get(name, partial(values.duration, reader)) for name in names]
    found = [time for time in times if time is not None]
    return None if most is None or len(found) < len(times) else Connections(most, *found)


def _jft(reader: Reader, name: str, node: Node, place: Place, _names: Names) -> Upstream | None:
    if (fields := reader.fields(node, schema.JFT)) is None:
        return None
    grant = fields.get("grant", lambda at: reader.choice(at, "grant", list(Grant)))
    write_url = fields.get("write_url", partial(values.origin, reader))
    read_url = fields.get("read_url", partial(values.origin, reader))
    status = fields.get("status", lambda at: reader.choice(at, "status", list(ServiceStatus)))
    scopes = fields.get("scopes", partial(_scopes, reader))
    tls = fields.get("tls", partial(_tls, reader))
    breaker = fields.get("breaker", partial(_breaker, reader))
    follow = fields.get("follow", partial(_follow, reader))
    numbers = fields.get("numbers", lambda at: reader.choice(at, "value of numbers", ("patient", "everywhere")))
    if write_url is None or read_url is None or status is None or scopes is None or tls is None or grant is None:
        return None
    if breaker is None or follow is None or numbers is None:
        return None
    looked_at: Literal["patient", "everywhere"] = "everywhere" if numbers == "everywhere" else "patient"
    return JftUpstream(
        name, write_url, read_url, *scopes, ServiceStatus(status), place, tls, Grant(grant), breaker, follow, looked_at
    )


def _scopes(reader: Reader, node: Node) -> tuple[str, str] | None:
    if (fields := reader.fields(node, schema.SCOPES)) is None:
        return None
    write = fields.get("write", reader.text)
    read = fields.get("read", reader.text)
    return None if write is None or read is None else (write, read)


def _breaker(reader: Reader, node: Node) -> Breaker | None:
    if (fields := reader.fields(node, schema.BREAKER)) is None:
        return None
    failures = fields.get("failures", partial(values.count, reader))
    pause = fields.get("pause", partial(values.duration, reader))
    longest = _longest(reader, fields, "pause", pause)
    return None if failures is None or pause is None or longest is None else Breaker(failures, pause, longest)


def _follow(reader: Reader, node: Node) -> Follow | None:
    if (fields := reader.fields(node, schema.FOLLOW)) is None:
        return None
    first = fields.get("first", partial(values.duration, reader))
    longest = _longest(reader, fields, "first", first)
    budget = fields.get("budget", partial(values.rate, reader))
    return None if first is None or longest is None or budget is None else Follow(first, longest, budget)


def _longest(reader: Reader, fields: Fields, name: str, least: float | None) -> float | None:
    """Read how far the time called `name` may grow by doubling."""
    longest = fields.get("longest", partial(values.duration, reader))
    if longest is not None and least is not None and longest < least:
        at = fields.value("longest" if "longest" in fields else name)
        reader.error(at, f'"longest" is shorter than "{name}", which it bounds')
    return longest


_READERS = {VkpUpstream.KIND: _vkp, JftUpstream.KIND: _jft}
