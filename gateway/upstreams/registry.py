"""Which client speaks with which kind of upstream, and what all of them share; a reload keeps what stays the same."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Generic, Literal, TypeVar, assert_never
from urllib.parse import urlsplit

from gateway.auth.helseid.access_tokens import TokenEndpoint, TokenSource
from gateway.auth.helseid.client_assertion import ClientIdentity, ClientKey
from gateway.auth.helseid.dpop import DpopProver
from gateway.auth.helseid.http import HelseIdHttp
from gateway.auth.helseid.issuer import Issuer
from gateway.auth.helseid.token_verifier import TokenVerifier
from gateway.config.model import Config
from gateway.config.upstreams import (
    Breaker,
    EpjAuth,
    EpjUpstream,
    HelseId,
    JftUpstream,
    OktUpstream,
    PitUpstream,
    PmdUpstream,
    Upstream,
    VkpUpstream,
    of_kind,
)
from gateway.errors import StartupError
from gateway.ledger.nodes import Away
from gateway.proxy.http_client import ANSWER_LIMIT, Caller
from gateway.proxy.tls import Certificates, ReloadingContext
from gateway.times import Clock
from gateway.upstreams.circuit_breaker import CircuitBreaker
from gateway.upstreams.epj import ANSWER_LIMIT as EPJ_ANSWER_LIMIT
from gateway.upstreams.epj import EpjClient
from gateway.upstreams.jft import JftClient
from gateway.upstreams.okt import OktClient
from gateway.upstreams.page_process import PageProcess
from gateway.upstreams.pit import ANSWER_LIMIT as PIT_ANSWER_LIMIT
from gateway.upstreams.pit import PitClient
from gateway.upstreams.pmd import PmdClient
from gateway.upstreams.service_caller import ServiceCaller
from gateway.upstreams.vkp import VkpClient, VkpClients

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class RecordSystem:
    """The clients of one municipality's record system: each has connections of its own, so that a comparison delays no sender."""

    lane: EpjClient
    compare: EpjClient


Client = JftClient | OktClient | PitClient | PmdClient | VkpClients | RecordSystem


class _Shared(Generic[T]):
    """What clients are made of, by what it is for; each stays while what it was made of stays the same."""

    def __init__(self, before: "_Shared[T] | None" = None) -> None:
        self._before = before.made if before is not None else {}
        self.made: dict[str, tuple[object, T]] = {}

    def known(self, what: str) -> T | None:
        return self.made[what][1] if what in self.made else None

    def get(self, what: str, made_of: object, make: Callable[[], T]) -> T:
        known = self.made.get(what) or self._before.get(what)
        if known is None or known[0] != made_of:
            known = (made_of, make())
        self.made[what] = known
        return known[1]

    @property
    def all(self) -> list[T]:
        return [part for _, part in self.made.values()]


@dataclass(frozen=True)
class _Parts:
    helseid: _Shared[HelseIdHttp] = field(default_factory=_Shared)
    trust: _Shared[tuple[Issuer, TokenVerifier]] = field(default_factory=_Shared)
    keys: _Shared[ClientKey] = field(default_factory=_Shared)
    tokens: _Shared[TokenSource] = field(default_factory=_Shared)
    callers: _Shared[Caller] = field(default_factory=_Shared)
    breakers: _Shared[CircuitBreaker] = field(default_factory=_Shared)

    def breaker(self, name: str, url: str, settings: Breaker) -> CircuitBreaker:
        """Return the circuit breaker of this name, for what is called at a URL."""
        return self.breakers.get(name, (url, settings), lambda: CircuitBreaker(settings))

    def token_sources(self) -> list[tuple[str, TokenSource]]:
        """Return the sources of our tokens by the upstream whose own client they are of; "" for the gateway's."""
        return [(name, source) for name, (_, source) in self.tokens.made.items()]

    @property
    def issuer(self) -> Issuer | None:
        """HelseID, as all clients ask it."""
        return next((issuer for issuer, _ in self.trust.all), None)

    def next(self) -> "_Parts":
        callers, breakers = _Shared(self.callers), _Shared(self.breakers)
        keys, tokens = _Shared(self.keys), _Shared(self.tokens)
        return _Parts(_Shared(self.helseid), _Shared(self.trust), keys, tokens, callers, breakers)

    @property
    def connections(self) -> "list[Caller | HelseIdHttp]":
        """Everything that has connections."""
        return [*self.callers.all, *self.helseid.all]


@dataclass(frozen=True, slots=True)
class ConfiguredClients:
    """The clients of one configuration."""

    config: Config
    verifier: TokenVerifier
    """Of senders' tokens."""
    tokens: TokenSource | None
    """Of the gateway's own tokens; None where no information service is called."""
    clients: Mapping[str, Client]
    """By the names of their upstreams."""
    parts: _Parts

    def of(self, kind: type[T]) -> T | None:
        """Return the client of one kind; None where nothing of that kind is called."""
        return of_kind(kind, self.clients.values())

    @property
    def record_systems(self) -> dict[str, RecordSystem]:
        """Municipalities' own record systems, by the names of their upstreams."""
        return {name: one for name, one in self.clients.items() if isinstance(one, RecordSystem)}

    def away(self, at: float) -> tuple[Away, ...]:
        """Return what does not answer now, which is `at` on the clock; to be called in the event loop."""
        now = asyncio.get_running_loop().time()
        found = [(one.name, one.kind, one.away_since) for one in standings(self, now)]
        if (issuer := self.parts.issuer) is not None:
            found.append(("helseid", "helseid", issuer.failing_since))
        return tuple(Away(name, kind, round(at - (now - since))) for name, kind, since in found if since is not None)


@dataclass(frozen=True, slots=True)
class UpstreamStanding:
    """How an upstream stands, as far as this process knows by its own calls."""

    name: str
    kind: str
    url: str
    breaker: Literal["closed", "open", "probing"] | None
    """None where requests only pass through: nothing is left alone then."""
    wait: float
    """Seconds until it is asked again."""
    refused_for: tuple[str, ...] = ()
    """The orgnr of municipalities for which it refuses our tokens."""
    away_since: float | None = None
    """Since when it does not answer, in the event loop's seconds; None while it does."""


def standings(clients: ConfiguredClients, now: float) -> list[UpstreamStanding]:
    """Return how every upstream of a configuration stands at a moment of the event loop."""
    found = []
    for name, upstream in clients.config.upstreams.items():
        client = clients.clients.get(name)
        refused = client.refused_tokens.refused_for(now) if isinstance(client, JftClient) else []
        breaker = clients.parts.breakers.known(name) or clients.parts.breakers.known(f"{name} search")
        state: Literal["closed", "open", "probing"] | None = None
        if breaker is not None:
            state = "closed" if breaker.is_closed else "probing" if breaker.is_probing else "open"
        url = upstream.write_url if isinstance(upstream, JftUpstream) else upstream.url
        wait = breaker.wait(now) if breaker is not None else 0.0
        since = breaker.away_since if breaker is not None else None
        found.append(UpstreamStanding(name, upstream.KIND, url, state, wait, tuple(refused), since))
    return found


class UpstreamRegistry:
    """Makes the clients of one process, and closes what they share; made while an event loop runs."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        self._folder = folder
        self._clock = clock
        self._prover = DpopProver(clock)
        self._pages = PageProcess()
        self._used = _Parts()

    def prepare(self, config: Config, certificates: Certificates) -> ConfiguredClients:
        """Return the clients of a configuration, and touch nothing of those that are in use; raises `StartupError`.

        Every key is read now, also one whose client stays: that has the key which it began with.
        """
        parts = self._used.next()
        _, verifier = self._trust(parts, config.helseid)
        made = {name: self._client(parts, config, one, certificates) for name, one in config.upstreams.items()}
        clients = {name: client for name, client in made.items() if client is not None}
        tokens = self._tokens(parts, config.helseid) if config.jft is not None else None
        return ConfiguredClients(config, verifier, tokens, clients, parts)

    def use(self, clients: ConfiguredClients) -> None:
        """Go on with the clients that `prepare` returned; connections that only others had end as soon as they are idle."""
        before, self._used = self._used, clients.parts
        kept = {id(each) for each in self._used.connections}
        for each in before.connections:
            if id(each) not in kept:
                each.close()

    async def close(self) -> None:
        """Close every connection as soon as it is idle."""
        for each in self._used.connections:
            each.close()
        await self._pages.close()

    def _client(self, parts: _Parts, config: Config, upstream: Upstream, certificates: Certificates) -> Client | None:
        """Return the client of an upstream: here stands which kind has which; None for a VKP that we do not call ourselves."""
        tls = certificates.of(upstream.name)
        match upstream:
            case JftUpstream():
                write = _caller(parts, f"{upstream.name} write", upstream.write_url, tls)
                read = _caller(parts, f"{upstream.name} read", upstream.read_url, tls)
                breaker = parts.breaker(upstream.name, upstream.write_url, upstream.breaker)
                tokens = self._tokens(parts, config.helseid)
                return JftClient(upstream, tokens, self._prover, write=write, read=read, breaker=breaker)
            case VkpUpstream():
                if not upstream.clients:
                    return None
                host = upstream.host or _host_of(config.public_url)
                caller = _caller(parts, upstream.name, upstream.url, tls, host, upstream.sni)
                searching = _caller(
                    parts, f"{upstream.name} search", upstream.url, tls, host, upstream.sni, EPJ_ANSWER_LIMIT
                )
                return VkpClients(upstream, self._of_vkp(parts, config, upstream, caller, searching))
            case OktUpstream():
                return OktClient(upstream, self._service_caller(parts, config, upstream, tls))
            case PitUpstream():
                asking = self._service_caller(parts, config, upstream, tls, PIT_ANSWER_LIMIT)
                return PitClient(upstream, asking, self._pages)
            case EpjUpstream():
                return self._record_system(parts, config, upstream, tls)
            case PmdUpstream():
                return PmdClient(upstream, self._service_caller(parts, config, upstream, tls))
        assert_never(upstream)

    def _service_caller(
        self,
        parts: _Parts,
        config: Config,
        upstream: OktUpstream | PitUpstream | PmdUpstream,
        tls: ReloadingContext | None,
        most: int = ANSWER_LIMIT,
    ) -> ServiceCaller:
        """Return what asks a service; `most` is how many bytes an answer may have."""
        name, url = upstream.name, upstream.url
        settings = upstream.breaker if isinstance(upstream, PmdUpstream) else Breaker()
        breaker = parts.breaker(name, url, settings)
        caller = _caller(parts, name, url, tls, most=most)
        made = (self._tokens(parts, config.helseid), self._prover, caller)
        return ServiceCaller(name, url, *made, breaker=breaker, settings=settings)

    def _record_system(
        self, parts: _Parts, config: Config, upstream: EpjUpstream, tls: ReloadingContext | None
    ) -> RecordSystem:
        made = []
        tokens = self._tokens(parts, config.helseid) if upstream.auth is EpjAuth.CLIENT_CREDENTIALS else None
        for name in (upstream.name, f"{upstream.name} compare"):
            breaker = parts.breaker(name, upstream.url, upstream.breaker)
            caller = _caller(parts, name, upstream.url, tls, most=EPJ_ANSWER_LIMIT)
            asking = ServiceCaller(
                upstream.name,
                upstream.url,
                tokens,
                self._prover,
                caller,
                breaker=breaker,
                settings=upstream.breaker,
                as_bearer=upstream.token_type == "bearer",  # noqa: S105 - the name of a type
            )
            made.append(EpjClient(upstream, asking))
        return RecordSystem(*made)

    def _of_vkp(
        self, parts: _Parts, config: Config, upstream: VkpUpstream, caller: Caller, searching: Caller
    ) -> dict[str, VkpClient]:
        made, settings, name = {}, Breaker(), f"{upstream.name} search"
        breaker = parts.breaker(name, upstream.url, settings)
        for client in upstream.clients:
            own = replace(config.helseid, client_id=client.client_id, key_file=client.key_file)
            tokens = self._tokens(parts, own, f"{upstream.name} {client.client_id}")
            of_vkp = (upstream.name, upstream.url, tokens, self._prover, searching)
            asking = ServiceCaller(*of_vkp, breaker=breaker, settings=settings, as_bearer=True)
            made[client.client_id] = VkpClient(client, tokens, caller, asking)
        return made

    def _trust(self, parts: _Parts, helseid: HelseId) -> tuple[Issuer, TokenVerifier]:
        """Return the issuer and verifier; they hold keys."""

        def make() -> tuple[Issuer, TokenVerifier]:
            http = parts.helseid.get("helseid", helseid.issuer, lambda: HelseIdHttp(helseid.issuer))
            issuer = Issuer(helseid.issuer, http, self._clock)
            lists = helseid.accept_audience_list
            return issuer, TokenVerifier(issuer, helseid.audience, self._clock, takes_audience_list=lists)

        made_of = (helseid.issuer, helseid.audience, helseid.accept_audience_list)
        return parts.trust.get("helseid", made_of, make)

    def _tokens(self, parts: _Parts, helseid: HelseId, upstream: str = "") -> TokenSource:
        """Return the source of tokens of one of our clients, which holds them; `upstream` names whose own client it is."""
        issuer, _ = self._trust(parts, helseid)
        try:
            read = ClientKey(helseid.key_file, self._folder)
        except StartupError as error:
            where = f"upstreams.{upstream}.client.key_file" if upstream else "helseid.key_file"
            raise StartupError(f"{where}: {error}") from None
        made_of = (issuer, helseid.client_id, helseid.key_file, helseid.multi_tenant, helseid.assertion_field)
        key = parts.keys.get(upstream, made_of, lambda: read)

        def make() -> TokenSource:
            identity = ClientIdentity(helseid.client_id, key, helseid.multi_tenant, helseid.assertion_field)
            return TokenSource(TokenEndpoint(issuer, identity, self._prover, self._clock), self._clock)

        return parts.tokens.get(upstream, made_of, make)


def _caller(  # noqa: PLR0913, PLR0917 - what connections are told by
    parts: _Parts,
    what: str,
    url: str,
    tls: ReloadingContext | None,
    host: str | None = None,
    sni: str | None = None,
    most: int = ANSWER_LIMIT,
) -> Caller:
    """Return the connections for a purpose."""
    made_of = (url, tls, host, sni, most)
    return parts.callers.get(what, made_of, lambda: Caller(url, tls, host, sni, answer_limit=most))


def _host_of(url: str | None) -> str | None:
    """Return the host and port of a URL."""
    return urlsplit(url).netloc if url else None
