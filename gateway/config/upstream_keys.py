"""The keys of upstreams: what each means and what reads it; a kind of upstream is one of `KINDS`."""

from collections.abc import Callable, Mapping
from typing import TypeVar

from yaml import Node

from gateway.config import values
from gateway.config.upstreams import (
    Breaker,
    Connections,
    EpjAuth,
    EpjUpstream,
    Follow,
    Forwarded,
    Grant,
    JftUpstream,
    OktUpstream,
    PitUpstream,
    PmdUpstream,
    ReadScopes,
    Scopes,
    ServiceStatus,
    Sweep,
    Upstream,
    UpstreamTls,
    VkpUpstream,
)
from gateway.config.yaml_nodes import child
from gateway.config.yaml_reader import Key, Read, Reader, Section, must, section, unless_null, within

T = TypeVar("T", Breaker, Follow)


def _unless_pass(reader: Reader, node: Node) -> str | None:
    word = values.host(reader, node)
    return None if word == "pass" else word


def _tls(reader: Reader, node: Node) -> UpstreamTls | None:
    found = reader.built(node, UPSTREAM_TLS, UpstreamTls)
    if (child(node, "cert_file") is None) != (child(node, "key_file") is None):
        reader.error(node, "cert_file and key_file belong together")
    return found


def _doubling(keys: Section, make: type[T], least: str) -> Read:
    """Return what reads a time called `least` that is doubled up to `longest`."""

    def read(reader: Reader, node: Node) -> T | None:
        found = reader.built(node, keys, make)
        if found is not None and found.longest < getattr(found, least):
            at = child(node, "longest", least) or node
            reader.error(at, f'"longest" is shorter than "{least}", which it bounds')
        return found

    return read


UPSTREAM_TLS = section(
    "upstreams.*.tls",
    Key("ca_file", "authorities to trust in place of the system's", read=Reader.text),
    Key("cert_file", "our own certificate, with its chain", read=Reader.text),
    Key("key_file", "its private key", read=Reader.text),
)

_KIND = must("kind", "which protocol the server speaks")
_TLS = Key("tls", "certificates, as files", "{}", read=_tls)
_STATUS = must(
    "status",
    "how far NHN has brought the service: prototype, test, production",
    read=values.one_of("status", ServiceStatus),
)

CONNECTIONS = section(
    "upstreams.*.connections",
    Key("most", "how many at a time", "1024", read=values.count),
    Key("idle", "how long an unused one is kept; shorter than the upstream keeps it", "4s", read=values.duration),
    Key("age", "how old one may grow", "5m", read=values.duration),
    Key("connect", "how long opening one may take, waiting for room included", "5s", read=values.duration),
    Key("first_byte", "from the end of a request to the head of its answer", "80s", read=values.duration),
    Key("silence", "without a byte of an answer that has begun", "60s", read=values.duration),
)

VKP_CLIENT = section(
    "upstreams.*.clients.*",
    must("municipality", "whose messages it sends, by short name: a HelseID client is for one municipality"),
    Key("vendor", "whose messages it sends, by short name; left out: those of vendors without a client of their own"),
    must("client_id", "a HelseID client with access to VKP", read=Reader.identifier),
    must("key_file", "its private JWK: a path from the folder of this file, or ${ENV_NAME}", read=values.key_source),
    must("scope", "the scope to ask HelseID for", read=Reader.text),
)

VKP = section(
    "upstreams.* (kind vkp)",
    _KIND,
    must("url", "scheme, host and port; requests keep their own path", read=values.origin),
    Key("host", "pass (the caller's own Host) or a name", "pass", read=_unless_pass),
    Key(
        "sni",
        "pass (the name that the request is for) or a name; the certificate is checked against it",
        "pass",
        read=_unless_pass,
    ),
    _TLS,
    Key("connections", "bounds of the connections", "{}", read=within(CONNECTIONS, Connections)),
    Key(
        "forwarded",
        "the sender's address for the upstream: none, x-forwarded or forwarded (RFC 7239)",
        "none",
        read=values.one_of("value of forwarded", Forwarded),
    ),
    Key("via", "whether Via is added to requests and answers", "false", read=Reader.boolean),
    Key("clients", "our own clients of VKP, with which messages are sent back to it, a list", "[]"),
)

SCOPES = section(
    "upstreams.*.scopes",
    Key("write", "scope for journaling", "nhn:jft/api", read=Reader.text),
    Key("read", "scope for asking", "nhn:jft/api", read=Reader.text),
)

BREAKER = section(
    "upstreams.*.breaker",
    Key("failures", "so many in a row", "5", read=values.count),
    Key("pause", "how long nothing is sent then; doubled while it keeps failing", "5s", read=values.duration),
    Key("longest", "pause; not shorter than pause", "60s", read=values.duration),
)

_BREAKER = Key(
    "breaker",
    "when nothing more is sent to it for a while, since it fails",
    "{}",
    read=_doubling(BREAKER, Breaker, "pause"),
)

FOLLOW = section(
    "upstreams.*.follow",
    Key("first", "from the delivery to the first poll; doubled from poll to poll", "60s", read=values.duration),
    Key("longest", "time between two polls; not shorter than first", "1h", read=values.duration),
    Key("budget", "polls of one municipality per s, m or h", "60/m", read=values.rate),
)

JFT = section(
    "upstreams.* (kind jft)",
    _KIND,
    must("write_url", "where events are journaled", read=values.origin),
    must("read_url", "where an event's state is asked", read=values.origin),
    Key("scopes", "the scopes to ask HelseID for", "{}", read=within(SCOPES, Scopes)),
    _STATUS,
    Key(
        "grant",
        "client_credentials: the gateway's own token; token_exchange: one for the sender's",
        "client_credentials",
        read=values.one_of("grant", Grant),
    ),
    _TLS,
    Key(
        "numbers",
        "whose national numbers it looks at, and so do we: patient or everywhere",
        "patient",
        read=values.word("value of numbers", "patient", "everywhere"),
    ),
    _BREAKER,
    Key("follow", "how delivered events are followed to the record", "{}", read=_doubling(FOLLOW, Follow, "first")),
)

PIT_SCOPES = section(
    "upstreams.*.scopes (kind pit)", Key("read", "scope for asking", "nhn:pit/api.read", read=Reader.text)
)

PIT = section(
    "upstreams.* (kind pit)",
    _KIND,
    must("url", "where patients are read", read=values.origin),
    Key("scopes", "the scopes to ask HelseID for", "{}", read=within(PIT_SCOPES, ReadScopes)),
    _STATUS,
    Key("every", "time between two polls of a municipality", "1m", read=values.duration),
    Key("freshness", "how old the replica may be and still answer; longer than every", "15m", read=values.duration),
    Key("whole", "time between two readings of everything, which find what is gone", "24h", read=values.duration),
    _TLS,
)

OKT_SCOPES = section(
    "upstreams.*.scopes (kind okt)", Key("read", "scope for asking", "nhn:okt/api.read", read=Reader.text)
)

SWEEP = section(
    "upstreams.*.sweep",
    Key("every", "time between the beginnings of two sweeps", "6h", read=values.duration),
    Key("rate", "look-ups of one municipality per s, m or h", "5/s", read=values.rate),
)

OKT = section(
    "upstreams.* (kind okt)",
    _KIND,
    must("url", "where services are looked up", read=values.origin),
    Key("scopes", "the scopes to ask HelseID for", "{}", read=within(OKT_SCOPES, ReadScopes)),
    _STATUS,
    Key("sweep", "how it is asked about every patient: it has no list", "{}", read=within(SWEEP, Sweep)),
    Key(
        "freshness",
        "how old what a sweep has learnt may be and still answer; longer than sweep.every",
        "24h",
        read=values.duration,
    ),
    _TLS,
)

PMD = section(
    "upstreams.* (kind pmd)",
    _KIND,
    must("url", "where measurements are shared", read=values.origin),
    _STATUS,
    Key(
        "scope",
        "the scope of machines; null: none is known, and production refuses it",
        "null",
        read=unless_null(Reader.text),
    ),
    Key(
        "bundle",
        "what measurements are sent as: collection or batch",
        "collection",
        read=values.word("value of bundle", "collection", "batch"),
    ),
    _TLS,
    _BREAKER,
)

EPJ = section(
    "upstreams.* (kind epj)",
    _KIND,
    must("url", "scheme, host and port; searches keep VKP's path", read=values.origin),
    Key(
        "auth",
        "client_credentials: a token of the gateway's own client; mtls: its certificate alone; pass: the sender's own token",
        "client_credentials",
        read=values.one_of("value of auth", EpjAuth),
    ),
    Key("scope", "what HelseID is asked for; null: the scope of each search", "null", read=unless_null(Reader.text)),
    Key(
        "token_type",
        "how our own token is sent: dpop, with a proof, or bearer",
        "dpop",
        read=values.word("value of token_type", "dpop", "bearer"),
    ),
    Key("timeout", "from a search to the end of its answer", "30s", read=values.duration),
    _TLS,
    _BREAKER,
)

KINDS: Mapping[str, tuple[Section, Callable[..., Upstream]]] = {
    VkpUpstream.KIND: (VKP, VkpUpstream),
    JftUpstream.KIND: (JFT, JftUpstream),
    PitUpstream.KIND: (PIT, PitUpstream),
    OktUpstream.KIND: (OKT, OktUpstream),
    PmdUpstream.KIND: (PMD, PmdUpstream),
    EpjUpstream.KIND: (EPJ, EpjUpstream),
}
"""Of each kind its keys, and what is made of them: each key that has a reader is a field of its name."""
SECTIONS = (
    VKP,
    VKP_CLIENT,
    UPSTREAM_TLS,
    CONNECTIONS,
    JFT,
    SCOPES,
    BREAKER,
    FOLLOW,
    PIT,
    PIT_SCOPES,
    OKT,
    OKT_SCOPES,
    SWEEP,
    PMD,
    EPJ,
)
