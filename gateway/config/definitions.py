"""What routes.yaml says, checked and frozen; one type per part of the file."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from gateway.config.people import People
from gateway.faults import Fault, Wording
from gateway.model import Information, Mode

DAY = 86_400.0


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where something stands in a configuration file; line and column count from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


class Severity(StrEnum):
    """Whether a configuration can be used in spite of a problem."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with a configuration, for the person who wrote it."""

    place: Place
    severity: Severity
    text: str

    def __str__(self) -> str:
        mark = "warning: " if self.severity is Severity.WARNING else ""
        return f"{self.place}: {mark}{self.text}"


class Environment(StrEnum):
    """Which national identity numbers are allowed: synthetic ones only, or real ones only."""

    TEST = "test"
    PRODUCTION = "production"


class ServiceStatus(StrEnum):
    """How far NHN has brought a service."""

    PROTOTYPE = "prototype"
    TEST = "test"
    PRODUCTION = "production"


@dataclass(frozen=True, slots=True)
class Address:
    """A host and port that the gateway listens on."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Listen:
    """The two ports: senders call `data`, operators `admin`."""

    data: Address
    admin: Address


@dataclass(frozen=True, slots=True)
class Rate:
    """How many requests a sender may make, as a bucket that refills."""

    count: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds that hold for every request."""

    body: int
    """Bytes."""
    request_timeout: float
    """Seconds from the request's head to the answer."""
    rate_per_sender: Rate
    concurrent_per_sender: int = 64
    connections: int = 20_000
    connections_per_address: int | None = None
    """None means no bound of its own."""
    backlog: int = 10_000
    """Messages of one municipality that may be held at a time."""
    duplicate_window: float = 14 * DAY
    """Seconds for which a message is known again."""
    journaled_wait: float = 30.0
    """Seconds that a sender waits at most where a route answers when a message was journaled."""


@dataclass(frozen=True, slots=True)
class KeyFiles:
    """Where the gateway's own keys are: paths relative to the configuration file, or `${ENV_NAME}` holding the text."""

    payload: str = "var/payload.keys"
    lookup: str = "var/lookup.key"
    canary: str = "var/canary.key"


@dataclass(frozen=True, slots=True)
class Retention:
    """How long the ledger keeps what, in seconds."""

    payload: float = 14 * DAY
    receipt: float = 90 * DAY
    decision: float = 90 * DAY
    audit: float = 3650 * DAY


@dataclass(frozen=True, slots=True)
class DataTls:
    """The certificates of the data port: paths relative to the configuration file, or `${ENV_NAME}` holding the text."""

    cert_file: str
    key_file: str
    client_ca_file: str | None
    """Whose certificates senders must have; None asks for none."""
    place: Place


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
    """Our own client of VKP, with which messages are sent back to it."""

    client_id: str
    key_file: str
    """A path relative to the configuration file, or `${ENV_NAME}` holding the JWK itself."""
    scope: str


@dataclass(frozen=True, slots=True)
class VkpUpstream:
    """Legacy VKP."""

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
    client: VkpClient | None = None


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
    """From the delivery to the first look; the interval is doubled from look to look."""
    longest: float = 3600.0
    budget: Rate = Rate(60, 60.0)
    """Looks of one municipality."""


@dataclass(frozen=True, slots=True)
class JftUpstream:
    """Journalføringstjenesten, which writes and reads on different hosts."""

    name: str
    write_url: str
    read_url: str
    write_scope: str
    read_scope: str
    status: ServiceStatus
    place: Place
    tls: UpstreamTls = UpstreamTls(None, None, None)
    grant: Grant = Grant.CLIENT_CREDENTIALS
    breaker: Breaker = Breaker()
    follow: Follow = Follow()


Upstream = VkpUpstream | JftUpstream


@dataclass(frozen=True, slots=True)
class Epj:
    """A municipality's record system and which information services it uses."""

    system: str
    new_generation: bool
    """NHN builds no VKP integration to an EPJ of the new generation."""
    reads: tuple[str, ...]
    feeds: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Municipality:
    """A municipality under the short name that routes use."""

    key: str
    name: str
    orgnr: str
    her_ids: tuple[str, ...]
    epj: Epj
    place: Place
    local_numbers: Mapping[tuple[str, str], str] = field(default_factory=dict, repr=False, hash=False)
    """National identity numbers by the record system's own identifier system and number; never shown."""


@dataclass(frozen=True, slots=True)
class Sender:
    """One HelseID client of a vendor's system, and the municipalities it may call."""

    vendor: str
    system: str
    vkp_id: str | None
    her_id: str | None
    municipalities: frozenset[str] | None
    """Short names; None means all, which only environment test allows."""
    service_codes: tuple[str, ...]
    rate: Rate | None
    place: Place
    code_history: tuple[tuple[str, str], ...] = ()
    """Which superseded table the sender's codes are of, by code system."""

    @property
    def key(self) -> str:
        """The identifier that logs, metrics and commands show."""
        return self.vkp_id or self.her_id or ""


@dataclass(frozen=True, slots=True)
class Vendor:
    """A vendor under its short name, with its systems' short names and full names."""

    key: str
    name: str
    systems: dict[str, str]
    place: Place


class AnswerWhen(StrEnum):
    """When a journaling is a success for its sender."""

    ACCEPTED = "accepted"
    JOURNALED = "journaled"


class OnOutage(StrEnum):
    """What a sender is told while the service is away."""

    REFUSE = "refuse"
    HOLD = "hold"


class Unclear(StrEnum):
    """What becomes of a held message that was sent and never answered."""

    QUARANTINE = "quarantine"
    RESEND = "resend"


@dataclass(frozen=True, slots=True)
class Route:
    """One rule of routes.yaml; None in a selector means that the rule does not name it."""

    municipality: str | None
    vendor: str | None
    system: str | None
    information: frozenset[Information] | None
    grouped: frozenset[Information]
    """Those of `information` that are there because a group was named; a type beats a group."""
    mode: Mode
    text: str | None
    """What a `closed` route tells the sender."""
    losses: tuple[str, ...]
    """Paths whose loss the route tolerates."""
    place: Place
    answer: AnswerWhen = AnswerWhen.ACCEPTED
    on_outage: OnOutage = OnOutage.REFUSE
    unclear: Unclear = Unclear.QUARANTINE
    acknowledge_within: float = DAY
    """Seconds from the delivery, after which an event that is not acknowledged is overdue."""


@dataclass(frozen=True, slots=True)
class Config:
    """A whole routes.yaml that has no errors."""

    file: str
    environment: Environment
    listen: Listen
    limits: Limits
    unrecognised_passes: bool
    unrecognised_paths: tuple[str, ...]
    patient_numbers_also: frozenset[str]
    """Kinds of national numbers that are allowed beside the environment's own."""
    helseid: HelseId
    verify_in_legacy: bool
    upstreams: dict[str, Upstream]
    municipalities: dict[str, Municipality]
    vendors: dict[str, Vendor]
    senders: tuple[Sender, ...]
    routes: tuple[Route, ...]
    wordings: dict[Fault, Wording]
    """What each fault is called on the wire."""
    store: str
    """The URL of the ledger; SQLite serves one process, PostgreSQL several."""
    tls: DataTls | None = None
    """None: the data port speaks plain HTTP."""
    public_url: str | None = None
    """What senders call, without a final slash; None where routes.yaml does not say."""
    people: People | None = None
    """Who may use the admin port; None: nobody, and it has health and metrics only."""
    keys: KeyFiles = KeyFiles()
    retention: Retention = Retention()
    version: str = ""
    """What tells one content of the file from another."""
