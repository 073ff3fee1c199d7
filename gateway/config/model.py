"""A checked routes.yaml; one type for each of its parts."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network
from typing import Literal

from gateway.config.plans import CutoverPlan, Freeze, Sunset
from gateway.config.upstreams import (
    DataTls,
    EpjUpstream,
    HelseId,
    JftUpstream,
    ServiceUpstream,
    Upstream,
    VkpClient,
    VkpUpstream,
    of_kind,
    upstream_for,
)
from gateway.errors import Fault, Wording
from gateway.model import Group, Information, Place, Rate
from gateway.routing.route import Route
from gateway.times import DAY

VkpSuccess = Literal["stored", "journaled"]
"""What VKP's success (2xx) says of a message: that VKP has it, where municipal staff find it, or that it is in the record."""


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


@dataclass(frozen=True, slots=True)
class Address:
    """A host and port that the gateway listens on."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


class Role(StrEnum):
    """What a person is to the gateway; what each may do is in `gateway.auth.people.rbac`."""

    VIEWER = "viewer"
    PLANNER = "planner"
    APPROVER = "approver"
    OPERATOR = "operator"


PID = "helseid://claims/identity/pid"
PSEUDONYM = "helseid://claims/identity/pid_pseudonym"
HPR_NUMBER = "helseid://claims/hpr/hpr_number"
SECURITY_LEVEL = "helseid://claims/identity/security_level"

NEEDED_SCOPES = {
    PSEUDONYM: "helseid://scopes/identity/pid_pseudonym",
    HPR_NUMBER: "helseid://scopes/hpr/hpr_number",
}
"""The scope that HelseID gives a claim for."""
PID_SCOPE = "helseid://scopes/identity/pid"


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of `people.persons`: who is meant, by one claim of HelseID's, and which roles that gives."""

    name: str
    """The short name, by which logs and API tokens know the entry."""
    claim: str
    value: str = field(repr=False)
    roles: frozenset[Role]
    municipalities: frozenset[str] | None
    """Short names; None means all."""
    contact: str = ""
    """How they are reached; shown to whoever is logged in."""
    full_name: str = ""
    """What pages call them; empty: by the short name."""


@dataclass(frozen=True, slots=True)
class PeopleClient:
    """The HelseID client with which people log in."""

    client_id: str
    key_file: str
    scopes: tuple[str, ...]
    place: Place = field(compare=False)


@dataclass(frozen=True, slots=True)
class SessionTimes:
    """How long a login lasts, in seconds."""

    idle: float
    longest: float


@dataclass(frozen=True, slots=True)
class People:
    """The part `people` of routes.yaml."""

    url: str
    """The admin port as browsers call it: scheme, host and port."""
    client: PeopleClient
    security_level: int
    """The lowest that HelseID may state for a login."""
    session: SessionTimes
    tokens_file: str
    """A path relative to the configuration file."""
    entries: tuple[Entry, ...]


Network = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class Listen:
    """The two ports: senders call `data`, operators `admin`."""

    data: Address
    admin: Address
    reuse_port: bool = False
    """Whether other processes may listen on `data` too; the system spreads connections over them."""
    metrics: Address | None = None
    """Where nothing but metrics and health is served, without a login."""
    proxy_protocol: bool = False
    """Whether balancers say in a header whose connection they bring."""


_PARSING = Rate(2_000_000, 1.0)


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds that hold for every request."""

    body: int
    """Bytes."""
    request_timeout: float
    """Seconds from the request's head to the answer."""
    rate_per_sender: Rate
    concurrent_per_sender: int = 64
    parsing_per_sender: Rate = _PARSING
    """Bytes of bodies that are read for one sender."""
    parsing_unverified: Rate = _PARSING
    """Bytes of bodies that are read for all together whose tokens nobody can verify, since HelseID is away."""
    connections: int = 20_000
    connections_per_address: int | None = None
    """None means no bound of its own."""
    balancers: tuple[Network, ...] = ()
    """TCP balancers in front of the data port: many senders come from each of their addresses."""
    backlog: int = 10_000
    """Messages of one municipality that may be held at a time."""
    backlog_per_sender: int = 7_500
    backlog_per_patient: int = 500
    duplicate_window: float = 14 * DAY
    """Seconds for which a message is known again."""
    answer: int = 1000
    """Resources that a search may find."""
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
class Epj:
    """A municipality's record system and which information services it uses."""

    system: str
    new_generation: bool
    """NHN builds no VKP integration to an EPJ of the new generation."""
    reads: tuple[str, ...]
    feeds: tuple[str, ...]
    upstream: str | None = None
    """The name of the upstream that is this record system itself; None where it answers nobody directly."""
    upstream_place: Place | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class ServicesFrom:
    """Who says which patient has which service, for tjenstlig behov: OKT, or a file."""

    file: str | None
    """A path relative to the configuration file; None: OKT."""
    place: Place = field(compare=False)


Resolver = Literal["pit", "vkp"]
"""Who is asked for the national number of a record system's own number, where no table has it."""


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
    unknown_codes_pass: bool = False
    """Whether codes that no table has go on with a mark."""
    resolvers: Mapping[str, Resolver] = field(default_factory=dict, hash=False)
    """By identifier system of the record system, who is asked for national numbers."""
    services_from: ServicesFrom | None = None
    partner_profile: Mapping[str, tuple[str, ...]] = field(default_factory=dict, hash=False)
    """By ServiceCode, patterns of CareServiceLevels, `%` as in VKP."""
    kommunenummer: str | None = None
    """Kommunenummer, four digits; None where routes.yaml does not say."""


@dataclass(frozen=True, slots=True)
class Sender:
    """One HelseID client of a vendor's system, and the municipalities it may call."""

    vendor: str
    system: str
    vkp_id: str | None
    her_id: str | None
    municipalities: frozenset[str] | None
    """Short names; None means all, which only environment test allows."""
    place: Place
    service_codes: tuple[str, ...] = ()
    rate: Rate | None = None
    code_history: tuple[tuple[str, str], ...] = ()
    """Which table the sender's codes are of, by code system."""
    apprec: Literal["1.0", "1.1"] = "1.1"
    """Which version of AppRec it is answered with over SOAP."""
    signature: Literal["refuse", "ignore"] = "refuse"
    """What becomes of its messages that are signed."""

    @property
    def key(self) -> str:
        """The identifier that logs, metrics and commands show."""
        return self.vkp_id or self.her_id or ""

    def serves(self, municipality: str) -> bool:
        """Tell whether it may call for a municipality, by its short name."""
        return self.municipalities is None or municipality in self.municipalities

    def serves_any(self, within: Collection[str] | None) -> bool:
        """Tell whether it may call for one of these; None is all that there are."""
        return within is None or self.municipalities is None or not self.municipalities.isdisjoint(within)


@dataclass(frozen=True, slots=True)
class Vendor:
    """A vendor under its short name, with its systems' short names and full names."""

    key: str
    name: str
    systems: dict[str, str]
    place: Place


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
    panics: tuple[Route, ...]
    """What lies over everything that people and cutovers have set, as long as the file says so."""
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
    freezes: tuple[Freeze, ...] = ()
    cutovers: Mapping[str, CutoverPlan] = field(default_factory=dict)
    """By name."""
    guard_reload: bool = False
    """Whether a reload may change no cell's mode but by an approved cutover or an override."""
    sunset: Sunset | None = None
    not_to_be_journaled: Literal["acknowledge", "refuse"] = "acknowledge"
    """What becomes of a message whose class says that its event is not to be journaled."""
    vkp_success: VkpSuccess = "stored"
    version: str = ""
    """What tells one content of the file from another."""

    @property
    def vkp(self) -> VkpUpstream | None:
        """Legacy VKP; None where it is not configured."""
        return of_kind(VkpUpstream, self.upstreams.values())

    def vendors_of(self, municipality: str) -> list[str]:
        """Return the vendors whose senders may call for a municipality, by short name."""
        serving = [one for one in self.senders if one.serves(municipality)]
        return sorted({one.vendor for one in serving})

    def client_of_vkp(self, municipality: str, vendor: str | None) -> VkpClient | None:
        """Return our own client of VKP for a vendor's messages to a municipality; None where there is none."""
        return self.vkp.client_for(municipality, vendor) if self.vkp is not None else None

    @property
    def jft(self) -> JftUpstream | None:
        """The information service that journalings go to; None where it is not configured."""
        return of_kind(JftUpstream, self.upstreams.values())

    def epj_of(self, municipality: str | None) -> EpjUpstream | None:
        """Return a municipality's own record system; None where it answers nobody directly."""
        known = self.municipalities.get(municipality or "")
        upstream = self.upstreams.get(known.epj.upstream) if known is not None and known.epj.upstream else None
        return upstream if isinstance(upstream, EpjUpstream) else None

    def upstream_for(self, information: Information | Group | None) -> ServiceUpstream | None:
        """Return the information service that answers for a type, or for journaling as a whole; None where there is none."""
        return upstream_for(self.upstreams.values(), information)
