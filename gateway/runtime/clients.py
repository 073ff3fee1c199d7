"""What the gateway knows HelseID and the information services by; a reload keeps what stays the same."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
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


class Clients:
    """Makes the clients of one process, and closes what they share; made while an event loop runs."""

    def __init__(self, folder: Path, clock: Callable[[], float]) -> None:
        self._folder = folder
        self._clock = clock
        self._prover = DpopProver(clock)
        # Bounded for each host: one that hangs must not keep messages from another.
        connector = aiohttp.TCPConnector(limit=0, limit_per_host=_MOST_PER_HOST)
        self._session = aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())
        self._trusted: tuple[tuple[str, str], Issuer, TokenVerifier] | None = None
        self._own_tokens: dict[str, tuple[tuple[object, ...], TokenSource]] = {}
        self._callers: dict[str, tuple[tuple[object, ...], Caller]] = {}
        self._breaker: tuple[tuple[object, ...], CircuitBreaker] | None = None

    def check(self, config: Config, table: RouteTable) -> None:
        """Raise `KeyUnusable` unless every key of a configuration can be used now.

        Clients that are there already go on with the keys that they have: a panic must not wait for a file.
        """
        if table.jft_upstream is not None:
            ClientKey(config.helseid.key_file, self._folder)
        if table.vkp_upstream is not None and (client := table.vkp_upstream.client) is not None:
            ClientKey(client.key_file, self._folder)

    def verifier(self, helseid: HelseId) -> TokenVerifier:
        """Return what verifies senders' tokens."""
        return self._trust(helseid)[1]

    def jft(self, config: Config, upstream: JftUpstream, certificates: Certificates) -> JftClient:
        """Return a client of JFT; raises `KeyUnusable`."""
        tokens, tls = self._tokens(config.helseid), certificates.of(upstream.name)
        write = self._caller("write", upstream.write_url, tls)
        read = self._caller("read", upstream.read_url, tls)
        breaker = self._breaker_of(upstream)
        return JftClient(upstream, tokens, self._prover, write, read_caller=read, breaker=breaker)

    def tokens(self, helseid: HelseId) -> TokenSource:
        """Return the source of the gateway's own tokens; raises `KeyUnusable`."""
        return self._tokens(helseid)

    def vkp(self, config: Config, upstream: VkpUpstream, certificates: Certificates) -> VkpClient | None:
        """Return our own client of VKP, where there is one; raises `KeyUnusable`."""
        client = upstream.client
        if client is None:
            return None
        own = replace(config.helseid, client_id=client.client_id, key_file=client.key_file)
        named = upstream.host or host_of(config.public_url)
        caller = self._caller("vkp", upstream.url, certificates.of(upstream.name), named, upstream.sni)
        return VkpClient(client, self._tokens(own, "vkp"), caller)

    async def close(self) -> None:
        """Close every connection as soon as it is idle."""
        for _, caller in self._callers.values():
            caller.close()
        await self._session.close()

    def _trust(self, helseid: HelseId) -> tuple[Issuer, TokenVerifier]:
        """Return the issuer and verifier; they hold keys, and stay while HelseID stays the same."""
        named = (helseid.issuer, helseid.audience)
        if self._trusted is None or self._trusted[0] != named:
            issuer = Issuer(helseid.issuer, self._session, self._clock)
            self._trusted = (named, issuer, TokenVerifier(issuer, helseid.audience, self._clock))
        return self._trusted[1:]

    def _tokens(self, helseid: HelseId, whose: str = "gateway") -> TokenSource:
        """Return the source of tokens of one of our clients; it holds tokens, and stays while the client stays the same."""
        issuer, _ = self._trust(helseid)
        named = (issuer, helseid.client_id, helseid.key_file, helseid.multi_tenant, helseid.assertion_field)
        known = self._own_tokens.get(whose)
        if known is None or known[0] != named:
            key = ClientKey(helseid.key_file, self._folder)
            identity = ClientIdentity(helseid.client_id, key, helseid.multi_tenant, helseid.assertion_field)
            endpoint = TokenEndpoint(issuer, identity, self._prover, self._session, self._clock)
            known = self._own_tokens[whose] = (named, TokenSource(endpoint, self._clock))
        return known[1]

    def _caller(
        self, what: str, url: str, tls: ReloadingContext | None, host: str | None = None, sni: str | None = None
    ) -> Caller:
        """Return the connections for a purpose; they stay while address and certificates stay the same."""
        known, named = self._callers.get(what), (url, tls, host, sni)
        if known is None or known[0] != named:
            if known is not None:
                known[1].close()
            known = self._callers[what] = (named, Caller(url, tls, host, sni))
        return known[1]

    def _breaker_of(self, upstream: JftUpstream) -> CircuitBreaker:
        """Return what knows whether JFT fails; it stays while JFT stays the same."""
        named = (upstream.write_url, upstream.breaker)
        if self._breaker is None or self._breaker[0] != named:
            self._breaker = (named, CircuitBreaker(upstream.breaker))
        return self._breaker[1]


def host_of(url: str | None) -> str | None:
    """Return the host and port of a URL."""
    return urlsplit(url).netloc if url else None
