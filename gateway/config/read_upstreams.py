"""The servers of routes.yaml."""

from collections.abc import Collection
from dataclasses import dataclass, replace

from yaml import MappingNode, Node

from gateway.config.upstream_keys import KINDS, VKP_CLIENT
from gateway.config.upstreams import (
    EpjAuth,
    EpjUpstream,
    OktUpstream,
    PitUpstream,
    Upstream,
    VkpClient,
    VkpUpstream,
)
from gateway.config.yaml_nodes import child
from gateway.config.yaml_reader import Reader

_SEVERAL = frozenset({EpjUpstream.KIND})


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
class ClientNames:
    """The short names that clients of VKP may speak of; None for those that could not be read."""

    municipalities: Collection[str] | None
    vendors: Collection[str] | None


def upstreams(reader: Reader, node: Node, names: ClientNames) -> Upstreams:
    """Read every upstream: at most one of a kind, but for record systems, of which each municipality may have its own."""
    known: dict[str, Upstream] = {}
    first: dict[str, Node] = {}
    clear = True
    for name, (key, value) in reader.named(node).items():
        kind_node = child(value, "kind")
        kind = _kind(reader, value)
        if kind is None:
            clear = False
            continue
        if kind in first and kind not in _SEVERAL:
            line = first[kind].start_mark.line + 1
            reader.error(kind_node or value, f"a second upstream of kind {kind} (first at line {line})")
            continue
        first.setdefault(kind, key)
        keys, make = KINDS[kind]
        upstream = reader.built(value, keys, make, name=name, place=reader.place(key))
        if isinstance(upstream, VkpUpstream) and (listed := child(value, "clients")) is not None:
            upstream = replace(upstream, clients=_clients(reader, names, listed))
        if upstream is not None:
            _check_together(reader, value, upstream)
            known[name] = upstream
    return Upstreams(known, frozenset(first), clear)


def _kind(reader: Reader, node: Node) -> str | None:
    """Read the kind before the rest, because it says which other keys there are."""
    if not isinstance(node, MappingNode):
        reader.unexpected(node, "a mapping")
        return None
    if (value := child(node, "kind")) is None:
        reader.error(node, '"kind" is missing')
        return None
    kind = reader.choice(value, "upstream kind", tuple(KINDS))
    return kind if kind in KINDS else None


def _check_together(reader: Reader, node: Node, upstream: Upstream) -> None:
    """Report what an upstream's keys may not say together."""
    match upstream:
        case PitUpstream() if upstream.freshness <= upstream.every:
            reader.error(child(node, "freshness", "every") or node, '"freshness" is not longer than "every"')
        case OktUpstream() if upstream.freshness <= upstream.sweep.every:
            reader.error(child(node, "freshness", "sweep") or node, '"freshness" is not longer than "sweep.every"')
        case EpjUpstream(auth=EpjAuth.MTLS) if upstream.tls.cert_file is None:
            reader.error(child(node, "auth") or node, 'auth "mtls" needs "tls" with "cert_file" and "key_file"')


def _clients(reader: Reader, names: ClientNames, node: Node) -> tuple[VkpClient, ...]:
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


def _client(reader: Reader, names: ClientNames, node: Node) -> VkpClient | None:
    known = {"municipality": names.municipalities, "vendor": names.vendors}
    given = {name: child(node, name) for name in known}
    whose = {name: at and reader.known(at, name, known[name]) for name, at in given.items()}
    found = reader.built(node, VKP_CLIENT, VkpClient, **whose, place=reader.place(node))
    return found if all(whose[name] is not None for name, at in given.items() if at is not None) else None
