"""The servers that routes.yaml names, and how they are reached."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import ClassVar, Literal, TypeVar, get_args

from gateway.model import JOURNALING, Group, Information, Place, Rate
from gateway.times import DAY

T = TypeVar("T")


class ServiceStatus(StrEnum):
    """How far NHN has brought a service."""

    PROTOTYPE = "prototype"
    TEST = "test"
    PRODUCTION = "production"


@dataclass(frozen=True, slots=True)
class HelseId:
    """The token service: what inbound tokens must say, and which client the gateway itself is."""

    issuer: str
    audience: str
    client_id: str
    key_file: str
    """A path relative to the configuration file, or `${ENV_NAME}` holding the JWK itself."""
    multi_tenant: bool
    assertion_field: str
    accept_bearer_with_cnf: bool
    accept_audience_list: bool
    """Whether a token that is for several APIs gives access to this one."""
    orgnr_claims: "OrgnrClaims"
    place: Place = field(compare=False)


class OrgnrClaims(StrEnum):
    """What becomes of a token whose `orgnr_parent` is another organisation than the municipality that is called."""

    OFF = "off"
    COUNT = "count"
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True)
class DataTls:
    """The certificates of the data port: paths relative to the configuration file, or `${ENV_NAME}` holding the text."""

    cert_file: str
    key_file: str
    client_ca_file: str | None
    """Whose certificates senders must have; None asks for none."""
    place: Place


@dataclass(frozen=True, slots=True)
class Connections:
    """Bounds of the connections to an upstream; times in seconds."""

    most: int
    idle: float
    """How long an unused one is kept: shorter than the upstream does, since a request is never sent twice."""
    age: float
    """How old one may grow, so that a changed address in DNS is found."""
    connect: float
    first_byte: float
    """From the end of a request to the head of its answer."""
    silence: float
    """Without a byte of an answer that has begun."""


@dataclass(frozen=True, slots=True)
class UpstreamTls:
    """What an upstream's certificate is checked against, and our own, as files relative to the configuration."""

    ca_file: str | None
    cert_file: str | None
    key_file: str | None


class Forwarded(StrEnum):
    """How an upstream is told of the sender's address and of the name it called."""

    NONE = "none"
    X_FORWARDED = "x-forwarded"
    FORWARDED = "forwarded"


@dataclass(frozen=True, slots=True)
class VkpClient:
    """One of our own clients of VKP, with which messages are sent back to it: VKP registers one for each municipality."""

    municipality: str
    vendor: str | None
    """Whose messages it sends; None: those of every vendor that has no client of its own."""
    client_id: str
    key_file: str
    """A path relative to the configuration file, or `${ENV_NAME}` holding the JWK itself."""
    scope: str
    place: Place = field(compare=False)


@dataclass(frozen=True, slots=True)
class VkpUpstream:
    """Legacy VKP."""

    KIND: ClassVar = "vkp"
    name: str
    url: str
    host: str | None
    """The Host to send; None passes the sender's own on."""
    sni: str | None
    """The name to ask for, and to check the certificate against; None takes the one that the request is for."""
    tls: UpstreamTls
    connections: Connections
    forwarded: Forwarded
    via: bool
    """Whether Via is added, to the request and to its answer (RFC 9110 section 7.6.3)."""
    place: Place
    clients: tuple[VkpClient, ...] = ()

    def client_for(self, municipality: str, vendor: str | None) -> VkpClient | None:
        """Return the client for a vendor's messages to a municipality; None where there is none."""
        own = {one.vendor: one for one in self.clients if one.municipality == municipality}
        return own.get(vendor) or own.get(None)


class Grant(StrEnum):
    """How the gateway gets its tokens: by its own client alone, or in exchange for the sender's (RFC 8693)."""

    CLIENT_CREDENTIALS = "client_credentials"
    TOKEN_EXCHANGE = "token_exchange"  # noqa: S105 - the name of a grant, no secret


@dataclass(frozen=True, slots=True)
class Breaker:
    """When nothing more is sent to a service that fails, and for how long; times in seconds."""

    failures: int = 5
    """In a row."""
    pause: float = 5.0
    longest: float = 60.0
    """The pause is doubled while the service keeps failing, up to this."""


@dataclass(frozen=True, slots=True)
class Follow:
    """How delivered events are followed to the record; times in seconds."""

    first: float = 60.0
    """From the delivery to the first poll; the interval is doubled from poll to poll."""
    longest: float = 3600.0
    budget: Rate = field(default_factory=lambda: Rate(60, 60.0))
    """Polls of one municipality."""


@dataclass(frozen=True, slots=True)
class Scopes:
    """What HelseID is asked for."""

    write: str
    read: str


@dataclass(frozen=True, slots=True)
class JftUpstream:
    """Journalføringstjenesten, which writes and reads on different hosts."""

    KIND: ClassVar = "jft"
    name: str
    write_url: str
    read_url: str
    scopes: Scopes
    status: ServiceStatus
    place: Place
    tls: UpstreamTls = UpstreamTls(None, None, None)
    grant: Grant = Grant.CLIENT_CREDENTIALS
    breaker: Breaker = Breaker()
    follow: Follow = field(default_factory=Follow)
    numbers: Literal["patient", "everywhere"] = "patient"
    """Whose national numbers JFT looks at: those of patients, or of everybody whom a message identifies."""


@dataclass(frozen=True, slots=True)
class ReadScopes:
    """What HelseID is asked for, for a service that is only read from."""

    read: str


@dataclass(frozen=True, slots=True)
class PitUpstream:
    """Pasientinformasjonstjenesten, from which each municipality's replica is fed; times in seconds."""

    KIND: ClassVar = "pit"
    name: str
    url: str
    scopes: ReadScopes
    status: ServiceStatus
    place: Place
    tls: UpstreamTls = UpstreamTls(None, None, None)
    every: float = 60.0
    """Between two polls of a municipality."""
    freshness: float = 900.0
    """How old the replica may be and still answer."""
    whole: float = DAY
    """Between two readings of everything, which find what is gone: PIT does not tell of it."""


@dataclass(frozen=True, slots=True)
class Sweep:
    """How a service that has one look-up for each number is asked about every patient; times in seconds."""

    every: float = 21_600.0
    rate: Rate = field(default_factory=lambda: Rate(5, 1.0))
    """Look-ups of one municipality."""


@dataclass(frozen=True, slots=True)
class OktUpstream:
    """Oversikt over kommunale tjenester, a prototype: one look-up for each number, no list; times in seconds."""

    KIND: ClassVar = "okt"
    name: str
    url: str
    scopes: ReadScopes
    status: ServiceStatus
    place: Place
    tls: UpstreamTls = UpstreamTls(None, None, None)
    sweep: Sweep = field(default_factory=Sweep)
    freshness: float = DAY
    """How old what a sweep has learnt may be and still answer."""


@dataclass(frozen=True, slots=True)
class PmdUpstream:
    """Pasientens måledata, with which measurements are shared."""

    KIND: ClassVar = "pmd"
    name: str
    url: str
    status: ServiceStatus
    place: Place
    scope: str | None = None
    """The scope of machines; None while NHN documents none."""
    bundle: Literal["collection", "batch"] = "collection"
    tls: UpstreamTls = UpstreamTls(None, None, None)
    breaker: Breaker = Breaker()


class EpjAuth(StrEnum):
    """With whose credentials a record system is asked."""

    CLIENT_CREDENTIALS = "client_credentials"
    """With a token of the gateway's own client, for the municipality."""
    MTLS = "mtls"
    """With the gateway's certificate alone."""
    PASS = "pass"  # noqa: S105 - the name of a way, no secret
    """With the sender's own token."""


@dataclass(frozen=True, slots=True)
class EpjUpstream:
    """A municipality's own record system, which answers VKP's R4 searches by agreement; times in seconds."""

    KIND: ClassVar = "epj"
    name: str
    url: str
    auth: EpjAuth
    place: Place
    scope: str | None = None
    """What HelseID is asked for; None: the scope of each search, as VKP has it."""
    token_type: Literal["dpop", "bearer"] = "dpop"  # noqa: S105 - the name of a type, no secret
    """How our own token is sent."""
    tls: UpstreamTls = UpstreamTls(None, None, None)
    timeout: float = 30.0
    """From a search to the end of its answer."""
    breaker: Breaker = Breaker()


ServiceUpstream = JftUpstream | PitUpstream | OktUpstream | PmdUpstream
"""An information service; the next kinds are added here."""
SERVICE_KINDS = tuple(one.KIND for one in get_args(ServiceUpstream))
Upstream = VkpUpstream | EpjUpstream | ServiceUpstream

SERVICES: Mapping[Information | Group, str] = {
    Group.JOURNALING: JftUpstream.KIND,
    **dict.fromkeys(JOURNALING, JftUpstream.KIND),
    Information.PASIENTINFO: PitUpstream.KIND,
    Information.TJENESTER: OktUpstream.KIND,
}
"""Which kind of information service answers for what; what is not named has none yet."""


def upstream_for(upstreams: Iterable[Upstream], information: Information | Group | None) -> ServiceUpstream | None:
    """Return the information service that answers for a type, or for journaling as a whole; None where there is none."""
    kind = SERVICES.get(information) if information is not None else None
    return next((one for one in upstreams if isinstance(one, ServiceUpstream) and kind == one.KIND), None)


def of_kind(kind: type[T], found: Iterable[object]) -> T | None:
    """Return the first of one kind of upstream, or of client; None where there is none."""
    return next((one for one in found if isinstance(one, kind)), None)
