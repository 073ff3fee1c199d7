"""From a checked configuration and its routes to everything that serves by them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from gateway.auth.helseid.client_assertion import ClientKey
from gateway.auth.helseid.dpop_verifier import DpopVerifier
from gateway.auth.people.authenticator import AuthConfig
from gateway.config.directory import Directory
from gateway.config.model import Config, Resolver
from gateway.config.plans import announced
from gateway.config.upstreams import VkpUpstream
from gateway.ledger.key_files import Keys
from gateway.ledger.learnt_numbers import LearntNumbers
from gateway.limits import TokenBuckets
from gateway.migration.comparison import Comparisons
from gateway.migration.rehearsal import Rehearsals
from gateway.outbox.context import DeliveryContext
from gateway.outbox.outbox import Outbox
from gateway.pipeline.authorize import Authorizer
from gateway.pipeline.compare import Comparer
from gateway.pipeline.content import ContentReader, Worker, large_bodies
from gateway.pipeline.patient_numbers import ListedNumbers, NumberResolver, NumbersOfVkp, PatientNumbers
from gateway.pipeline.pipeline import Pipeline
from gateway.pipeline.retrieval import Retrieval, RetrievalClients
from gateway.pipeline.translate import allowed_numbers
from gateway.proxy.connection_limits import ConnectionLimits
from gateway.proxy.forwarder import UpstreamTarget
from gateway.proxy.pool import Pool
from gateway.proxy.server import Lane
from gateway.proxy.tls import Certificates, ReloadingContext
from gateway.replica.patient_source import CopyAnswers, answers_of
from gateway.routing.table import ActiveTable, RouteTable
from gateway.tasks import Intervals
from gateway.times import Clock
from gateway.upstreams.epj import EpjClient
from gateway.upstreams.jft import JftClient
from gateway.upstreams.pmd import PmdClient
from gateway.upstreams.registry import ConfiguredClients, UpstreamRegistry
from gateway.upstreams.vkp import VkpClients


@dataclass(frozen=True, slots=True)
class Prepared:
    """What a configuration brings along, before anything of it is used: whatever can refuse it has not."""

    config: Config
    of_file: RouteTable
    """The routes of the file."""
    keys: Keys | None
    auth: AuthConfig | None
    certificates: Certificates
    clients: ConfiguredClients


@dataclass(frozen=True, slots=True)
class RuntimeState:
    """Everything that one configuration made; a message keeps the one that it started with."""

    config: Config
    pipeline: Pipeline
    lane: Lane
    certificates: Certificates
    keys: Keys | None
    delivery: DeliveryContext | None
    """What journalings are delivered with; None where nothing is."""
    clients: ConfiguredClients
    comparer: Comparer
    client_keys: tuple[ClientKey, ...]
    """What assertions towards HelseID are signed with, for messages and for logins."""


class Builder:
    """Makes what runs; what stays the same from one configuration to the next is kept, as are proofs used and rates."""

    def __init__(
        self, folder: Path, rehearsals: Rehearsals, comparisons: Comparisons, clock: Clock, intervals: Intervals
    ) -> None:
        """Begin with nothing made yet, while an event loop runs."""
        self._folder = folder
        self._intervals = intervals
        self._rehearsals = rehearsals
        self._comparisons = comparisons
        self._clock = clock
        self._proofs = DpopVerifier(clock)
        self._rates, self._parsed = TokenBuckets(), TokenBuckets()
        self.worker, self.retrieval_worker = Worker(large_bodies()), Worker()
        self.listed = ListedNumbers(clock)
        self.upstreams = UpstreamRegistry(folder, clock)

    def prepare(
        self,
        config: Config,
        of_file: RouteTable,
        keys: Keys | None,
        auth: AuthConfig | None,
        before: RuntimeState | None,
    ) -> Prepared:
        """Read what a configuration names, and touch nothing that is in use; raises `StartupError`."""
        certificates = Certificates(config, self._folder, before.certificates if before else None)
        clients = self.upstreams.prepare(config, certificates)
        return Prepared(config, of_file, keys, auth, certificates, clients)

    def build(
        self, prepared: Prepared, routes: ActiveTable, outbox: Outbox | None, before: RuntimeState | None
    ) -> RuntimeState:
        """Return everything that a prepared configuration makes; nothing of it can refuse."""
        config, keys, clients = prepared.config, prepared.keys, prepared.clients
        delivery = _delivery(prepared, routes) if outbox is not None else None
        copies = answers_of(config, keys, outbox.ledger.store, self._clock) if outbox and keys else None
        learnt = LearntNumbers(outbox.ledger.store, keys, self._clock) if outbox and keys else None
        systems = clients.record_systems.items()
        retrieval = self._retrieval(clients, {name: one.lane for name, one in systems}, copies, learnt)
        comparing = self._retrieval(clients, {name: one.compare for name, one in systems}, copies, learnt)
        comparer = Comparer(config, comparing, self._comparisons.take, self._intervals.comparing)
        pipeline = Pipeline(
            config,
            routes,
            Authorizer(config, Directory(config), clients.verifier, self._proofs, self._rates, self._clock),
            outbox.journaling(delivery) if outbox is not None and delivery is not None else None,
            self._clock,
            contents=ContentReader(config, self._parsed, self.worker, self._clock.monotonic),
            retrieval=retrieval,
            comparer=comparer,
            canary_key=keys.canary if keys else None,
            rehearse=self._rehearsals.offering(config, retrieval.numbers),
        )
        lane, auth = _lane(prepared, pipeline, before), prepared.auth
        client_keys = (*clients.parts.keys.all, *((auth.key,) if auth is not None and auth.key is not None else ()))
        return RuntimeState(
            config, pipeline, lane, prepared.certificates, keys, delivery, clients, comparer, client_keys
        )

    def _retrieval(
        self,
        clients: ConfiguredClients,
        record_systems: Mapping[str, EpjClient],
        copies: CopyAnswers | None,
        learnt: LearntNumbers | None,
    ) -> Retrieval:
        """Return what answers searches in place of VKP; large answers are read in a thread of their own."""
        config = clients.config
        resolvers: dict[Resolver, NumberResolver] = {
            "vkp": NumbersOfVkp(config, clients.of(VkpClients), self.listed, learnt, self.retrieval_worker.run)
        }
        if copies is not None:
            resolvers["pit"] = copies.local_numbers
        sources = copies.sources if copies is not None else {}
        asked = RetrievalClients(record_systems, sources, PatientNumbers(resolvers))
        return Retrieval(config, allowed_numbers(config), asked, self.retrieval_worker.run)


def drain(before: RuntimeState | None, kept: dict[str, UpstreamTarget]) -> None:
    """Close the connections that are not used any more, each as soon as it is idle."""
    pools = {target.pool for target in kept.values()}
    for target in before.lane.targets.values() if before else ():
        if target.pool not in pools:
            target.pool.drain()


def _lane(prepared: Prepared, pipeline: Pipeline, before: RuntimeState | None) -> Lane:
    """Return what requests are sent on with as they are."""
    config, certificates, limits = prepared.config, prepared.certificates, prepared.config.limits
    targets = {
        name: UpstreamTarget(
            upstream,
            _pool(upstream, certificates.of(name), before),
            limits.request_timeout,
            pipeline.refused,
            announced(config.sunset),
        )
        for name, upstream in config.upstreams.items()
        if isinstance(upstream, VkpUpstream)
    }
    counted = ConnectionLimits(limits.connections, limits.connections_per_address, limits.balancers)
    return Lane(targets, pipeline.malformed, counted)


def _delivery(prepared: Prepared, routes: ActiveTable) -> DeliveryContext | None:
    """Return what journalings are delivered with; None without an information service, or keys for the ledger."""
    config, keys = prepared.config, prepared.keys
    upstream, client = config.jft, prepared.clients.of(JftClient)
    if upstream is None or client is None or keys is None:
        return None
    vkp, pmd = prepared.clients.of(VkpClients), prepared.clients.of(PmdClient)
    return DeliveryContext(config, keys, client, upstream.follow, routes, vkp, pmd)


def _pool(upstream: VkpUpstream, tls: ReloadingContext | None, before: RuntimeState | None) -> Pool:
    """Return the connections to an upstream; those stay whose upstream and certificates stay the same."""
    known = before.lane.targets.get(upstream.name) if before else None
    if known is not None and replace(known.upstream, place=upstream.place) == upstream and known.pool.tls is tls:
        return known.pool
    return Pool(upstream.url, upstream.connections, tls)
