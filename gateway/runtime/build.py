"""From a checked configuration and its routes to everything that serves by them."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from gateway.auth.helseid.dpop_verifier import DpopVerifier
from gateway.config.model import Config
from gateway.config.routes import announced
from gateway.config.upstreams import VkpUpstream
from gateway.ledger.key_files import Keys
from gateway.limits import TokenBuckets
from gateway.migration.rehearsal import Rehearsals
from gateway.outbox.outbox import DeliveryContext, Outbox
from gateway.pipeline.authorize import Authorizer
from gateway.pipeline.pipeline import Pipeline
from gateway.proxy.connection_limits import ConnectionLimits
from gateway.proxy.forwarder import UpstreamTarget
from gateway.proxy.pool import Pool
from gateway.proxy.server import Lane
from gateway.proxy.tls import Certificates, ReloadingContext
from gateway.routing.table import RouteTable
from gateway.runtime.clients import Clients


@dataclass(frozen=True, slots=True)
class RuntimeState:
    """Everything that one configuration made; a message keeps the one that it started with."""

    config: Config
    exchange: Pipeline
    lane: Lane
    certificates: Certificates
    keys: Keys | None
    means: DeliveryContext | None
    """What journalings are delivered with; None where nothing is."""


class Builder:
    """Makes what runs; what stays the same from one configuration to the next is kept, as are proofs used and rates."""

    def __init__(
        self, folder: Path, rehearsals: Rehearsals, clock: Callable[[], float], monotonic: Callable[[], float]
    ) -> None:
        """Begin with nothing made yet, while an event loop runs."""
        self._folder = folder
        self._rehearsals = rehearsals
        self._clock, self._monotonic = clock, monotonic
        self._proofs = DpopVerifier(clock)
        self._rates = TokenBuckets()
        self.services = Clients(folder, clock)

    def wired(
        self, config: Config, table: RouteTable, keys: Keys | None, delivery: Outbox | None, before: RuntimeState | None
    ) -> RuntimeState:
        """Return everything that a configuration and its routes make; raises `KeyUnusable` or `CertificatesUnusable`."""
        self.services.check(config, table)
        certificates = Certificates(config, self._folder, before.certificates if before else None)
        return self._with(config, table, keys, delivery, certificates, before)

    def relaid(self, table: RouteTable, delivery: Outbox | None, before: RuntimeState) -> RuntimeState:
        """Return what another table makes under the same configuration, of what is there: nothing is read for it."""
        return self._with(before.config, table, before.keys, delivery, before.certificates, before)

    def _with(  # noqa: PLR0913, PLR0917 - what everything is made of
        self,
        config: Config,
        table: RouteTable,
        keys: Keys | None,
        delivery: Outbox | None,
        certificates: Certificates,
        before: RuntimeState | None,
    ) -> RuntimeState:
        verifier = self.services.verifier(config.helseid)
        admission = Authorizer(config, table, verifier, self._proofs, self._rates, self._monotonic)
        means = self._means(config, table, keys if delivery is not None else None, certificates)
        exchange = Pipeline(
            *(config, table, admission),
            delivery.journaling(means) if delivery is not None and means is not None else None,
            self._clock,
            canary_key=keys.canary if keys else None,
            rehearse=self._rehearsals.offering(config),
        )
        ways = {
            name: UpstreamTarget(
                upstream,
                _pool(upstream, certificates.of(name), before),
                config.limits.request_timeout,
                exchange.refused,
                announced(config.sunset),
            )
            for name, upstream in config.upstreams.items()
            if isinstance(upstream, VkpUpstream)
        }
        room = ConnectionLimits(config.limits.connections, config.limits.connections_per_address)
        return RuntimeState(config, exchange, Lane(ways, exchange.malformed, room), certificates, keys, means)

    def _means(
        self, config: Config, table: RouteTable, keys: Keys | None, certificates: Certificates
    ) -> DeliveryContext | None:
        """Return what journalings are delivered with; a client whose key is no good is told of in any case."""
        if table.jft_upstream is None:
            return None
        jft = self.services.jft(config, table.jft_upstream, certificates)
        if keys is None:
            return None
        vkp = self.services.vkp(config, table.vkp_upstream, certificates) if table.vkp_upstream else None
        return DeliveryContext(config, keys, jft, table.jft_upstream.follow, table, vkp)


def drain(before: RuntimeState | None, kept: dict[str, UpstreamTarget]) -> None:
    """Close the connections that are not used any more, each as soon as it is idle."""
    pools = {way.pool for way in kept.values()}
    for way in before.lane.ways.values() if before else ():
        if way.pool not in pools:
            way.pool.drain()


def _pool(upstream: VkpUpstream, tls: ReloadingContext | None, before: RuntimeState | None) -> Pool:
    """Return the connections to an upstream; those stay whose upstream and certificates stay the same."""
    known = before.lane.ways.get(upstream.name) if before else None
    if known is not None and replace(known.upstream, place=upstream.place) == upstream and known.pool.tls is tls:
        return known.pool
    return Pool(upstream.url, upstream.connections, tls)
