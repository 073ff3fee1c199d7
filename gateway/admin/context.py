"""The ledger as the admin port knows it, once there is one: read and changed for people, each change with who and why."""

from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TypeVar

import structlog
from sqlalchemy import Connection

from gateway.admin.problems import Code, Problem
from gateway.auth.people.principal import Principal
from gateway.auth.people.rbac import MAY, Action
from gateway.config.model import Config
from gateway.ledger import audit
from gateway.ledger.audit import Note
from gateway.ledger.database import LedgerUnavailable
from gateway.ledger.idempotency import Claim, mark_begun
from gateway.ledger.key_files import Keys
from gateway.ledger.messages import Ledger
from gateway.times import Clock

log = structlog.get_logger()
T = TypeVar("T")
Reach = frozenset[str] | None
"""Short names of municipalities; None is all."""
CLAIM: ContextVar[Claim | None] = ContextVar("claim", default=None)
"""Of the request that is being done, where it has an Idempotency-Key."""


@dataclass(frozen=True, slots=True)
class _Open:
    ledger: Ledger
    keys: Keys
    config: Config


class LedgerContext:
    """Where endpoints get the ledger; each raises `Problem` while there is none."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self._open: _Open | None = None
        self.changes = 0
        """How often somebody has changed something here: what was read before is old."""

    def use(self, ledger: Ledger, keys: Keys, config: Config) -> None:
        """Take a ledger, or go on with another configuration; whoever opened it closes it."""
        self._open = _Open(ledger, keys, config)

    @property
    def is_there(self) -> bool:
        """Whether there is a ledger."""
        return self._open is not None

    @property
    def ledger(self) -> Ledger:
        """The ledger; raises `Problem`."""
        return self._now().ledger

    @property
    def keys(self) -> Keys:
        """Its keys; raises `Problem`."""
        return self._now().keys

    @property
    def config(self) -> Config:
        """The configuration that runs; raises `Problem`."""
        return self._now().config

    def now(self) -> float:
        """Return the time, in seconds since the epoch."""
        return self.clock()

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Do `work`, which changes nothing; raises `Problem`."""
        return await from_ledger(self.ledger.store.read(work))

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Do `work` and return its result when it is durable; raises `Problem`, and then nothing was changed.

        The claim of the request is marked in the same transaction, so that nobody does the same twice.
        """
        own = CLAIM.get()

        def marked(connection: Connection) -> T:
            if own is not None and not mark_begun(connection, own):
                raise Problem(Code.CONFLICT, "Idempotency-Key: another request with it has gone on with this")
            return work(connection)

        return await self.write_unmarked(marked)

    async def write_unmarked(self, work: Callable[[Connection], T]) -> T:
        """Likewise, without a mark: it is not the work of a request."""
        try:
            return await from_ledger(self.ledger.store.write(work))
        finally:
            self.changes += 1

    def note(
        self, who: Principal, action: str, target: str, reason: str | None = None, detail: str | None = None
    ) -> Note:
        """Return what the audit is told of an action that begins now; raises `Problem`."""
        return Note(self.now(), self.ledger.node, actor(who), action, target, reason, detail)

    async def write_note(self, note: Note) -> None:
        """Tell the audit of an action that changes nothing else in the ledger; raises `Problem`."""
        await self.write(lambda connection: audit.write(connection, note))

    def _now(self) -> _Open:
        if self._open is None:
            raise Problem(Code.NO_LEDGER)
        return self._open


async def from_ledger(asked: Awaitable[T]) -> T:
    """Return what the ledger is asked for; raises `Problem` where it cannot be read or written."""
    try:
        return await asked
    except LedgerUnavailable as error:
        raise Problem(Code.LEDGER, str(error)) from None


def tell(note: Note) -> None:
    """Log what the audit has been told."""
    log_action(note.action, note.target, note.actor)


def log_action(action: str, target: str, by: str) -> None:
    """Log what somebody has done, without the reason: a person wrote that."""
    log.info("people.action", action=action, target=target, by=by)


def actor(who: Principal) -> str:
    """Return what the audit calls someone: entries of `people.persons` or a token's id, and the subject; never a name."""
    return f"{', '.join(who.known_as)} ({who.subject})"


def short_name(config: Config, named: str | None) -> str | None:
    """Return a municipality's short name where it is named by its orgnr; anything else as it is."""
    return next((one.key for one in config.municipalities.values() if one.orgnr == named), named)


def reach(who: Principal, action: Action) -> Reach:
    """Return the municipalities where someone may do this."""
    fitting = [grant.municipalities for grant in who.grants if action in MAY[grant.role]]
    if None in fitting:
        return None
    return frozenset().union(*(places for places in fitting if places is not None))
