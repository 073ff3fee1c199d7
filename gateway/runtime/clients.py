"""What the gateway knows HelseID and the information services by; a reload keeps what stays the same."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Generic, TypeVar
from urllib.parse import urlsplit

import aiohttp

from gateway.auth.helseid.access_tokens import TokenEndpoint, TokenSource
from gateway.auth.helseid.client_assertion import ClientIdentity, ClientKey
from gateway.auth.helseid.dpop import DpopProver
from gateway.auth.helseid.issuer import Issuer
from gateway.auth.helseid.token_verifier import TokenVerifier
from gateway.config.model import Config
from gateway.config.upstreams import HelseId, JftUpstream, VkpUpstream
from gateway.proxy.tls import Certificates, ReloadingContext
from gateway.routing.table import RouteTable
from gateway.upstreams.circuit_breaker import CircuitBreaker
from gateway.upstreams.http_client import Caller
from gateway.upstreams.jft import JftClient
from gateway.upstreams.vkp import VkpClient

_MOST_PER_HOST = 256
"""Connections to HelseID."""
T = TypeVar("T")


class _Parts(Generic[T]):
    """What clients are made of, by what it is for; each stays while what it was made of stays the same."""

    def __init__(self, before: "_Parts[T] | None" = None) -> None:
        self._before = before.made if before is not None else {}
        self.made: dict[str, tuple[object, T]] = {}

    def part(self, what: str, made_of: object, make: Callable[[], T]) -> T:
        known = self.made.get(what) or self._before.get(what)
        if known is None or known[0] != made_of:
            known = (made_of, make())
        self.made[what] = known
        return known[1]

    @property
    def all(self) -> list[T]:
        return [part for _, part in self.made.values()]


@dataclass(frozen=True)
class _AllParts:
    trust: _Parts[tuple[Issuer, TokenVerifier]] = field(default_factory=_Parts)
    tokens: _Parts[TokenSource] = field(default_factory=_Parts)
    callers: _Parts[Caller] = field(default_factory=_Parts)
    breakers: _Parts[CircuitBreaker] = field(default_factory=_Parts)

    def next(self) -> "_AllParts":
        return _AllParts(_Parts(self.trust), _Parts(self.tokens), _Parts(self.callers), _Parts(self.breakers))


@dataclass(frozen=True, slots=True)
class ConfiguredClients:
    """The clients of one configuration."""

    verifier: TokenVerifier
    """Of senders' tokens."""
    tokens: TokenSource | None
    """Of the gateway's own tokens; None where no information service is called."""
    jft: JftClient | None
    vkp: VkpClient | None
    """Our own client of VKP, where there is one."""
    parts: _AllParts


class Clients:
    """Makes the clients of one process, and closes what they share; made while an event loop runs."""

    def __init__(self, folder: Path, clock: Callable[[], float]) -> None:
        self._folder = folder
        self._clock = clock
        self._prover = DpopProver(clock)
        # Bounded for each host: one that hangs must not keep messages from another.
        connector = aiohttp.TCPConnector(limit=0, limit_per_host=_MOST_PER_HOST)
        self._session = aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())
        self._used = _AllParts()

    def prepare(self, config: Config, table: RouteTable, certificates: Certificates) -> ConfiguredClients:
        """Return the clients of a configuration, and touch nothing of those that are in use; raises `KeyUnusable`.

        Every key is read now, also one whose client stays: that has the key which it began with.
        """
        parts = self._used.next()
        verifier = self._trust(parts, config.helseid)[1]
        tokens = jft = vkp = None
        if (service := table.jft_upstream) is not None:
            tokens = self._tokens(parts, config.helseid)
            jft = self._jft(parts, service, tokens, certificates)
        if (legacy := table.vkp_upstream) is not None:
            vkp = self._vkp(parts, config, legacy, certificates)
        return ConfiguredClients(verifier, tokens, jft, vkp, parts)

    def use(self, clients: ConfiguredClients) -> None:
        """Go on with the clients that `prepare` returned; connections that only others had end as soon as they are idle."""
        before, self._used = self._used, clients.parts
        kept = {id(caller) for caller in self._used.callers.all}
        for caller in before.callers.all:
            if id(caller) not in kept:
                caller.close()

    async def close(self) -> None:
        """Close every connection as soon as it is idle."""
        for caller in self._used.callers.all:
            caller.close()
        await self._session.close()

    def _jft(
        self, parts: _AllParts, upstream: JftUpstream, tokens: TokenSource, certificates: Certificates
    ) -> JftClient:
        tls = certificates.of(upstream.name)
        write = _caller(parts, "write", upstream.write_url, tls)
        read = _caller(parts, "read", upstream.read_url, tls)
        breaker = parts.breakers.part(
            upstream.name, (upstream.write_url, upstream.breaker), lambda: CircuitBreaker(upstream.breaker)
        )
        return JftClient(upstream, tokens, self._prover, write, read_caller=read, breaker=breaker)

    def _vkp(
        self, parts: _AllParts, config: Config, upstream: VkpUpstream, certificates: Certificates
    ) -> VkpClient | None:
        client = upstream.client
        if client is None:
            return None
        own = replace(config.helseid, client_id=client.client_id, key_file=client.key_file)
        named = upstream.host or host_of(config.public_url)
        caller = _caller(parts, "vkp", upstream.url, certificates.of(upstream.name), named, upstream.sni)
        return VkpClient(client, self._tokens(parts, own, "vkp"), caller)

    def _trust(self, parts: _AllParts, helseid: HelseId) -> tuple[Issuer, TokenVerifier]:
        """Return the issuer and verifier; they hold keys."""

        def make() -> tuple[Issuer, TokenVerifier]:
            issuer = Issuer(helseid.issuer, self._session, self._clock)
            return issuer, TokenVerifier(issuer, helseid.audience, self._clock)

        return parts.trust.part("helseid", (helseid.issuer, helseid.audience), make)

    def _tokens(self, parts: _AllParts, helseid: HelseId, whose: str = "gateway") -> TokenSource:
        """Return the source of tokens of one of our clients; it holds tokens."""
        issuer, _ = self._trust(parts, helseid)
        key = ClientKey(helseid.key_file, self._folder)
        made_of = (issuer, helseid.client_id, helseid.key_file, helseid.multi_tenant, helseid.assertion_field)

        def make() -> TokenSource:
            identity = ClientIdentity(helseid.client_id, key, helseid.multi_tenant, helseid.assertion_field)
            return TokenSource(TokenEndpoint(issuer, identity, self._prover, self._session, self._clock), self._clock)

        return parts.tokens.part(whose, made_of, make)


def _caller(  # noqa: PLR0913, PLR0917 - what connections are told by
    parts: _AllParts,
    what: str,
    url: str,
    tls: ReloadingContext | None,
    host: str | None = None,
    sni: str | None = None,
) -> Caller:
    """Return the connections for a purpose."""
    return parts.callers.part(what, (url, tls, host, sni), lambda: Caller(url, tls, host, sni))


def host_of(url: str | None) -> str | None:
    """Return the host and port of a URL."""
    return urlsplit(url).netloc if url else None
