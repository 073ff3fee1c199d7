"""A municipality's own file of services, copied into the replica whenever it has changed."""

import asyncio
import hashlib
from dataclasses import replace
from functools import partial
from pathlib import Path

import structlog
from sqlalchemy import Connection

from gateway.config.service_file import FileUnusable, Services, read_services
from gateway.ledger.database import Database
from gateway.observability.metrics import SERVICE_FILES_UNUSABLE, SERVICES_WITHOUT_PATIENT
from gateway.replica import feeds
from gateway.replica.feeds import FeedKey
from gateway.replica.patients import CopiedNumbers
from gateway.replica.services import ServiceSeal, Source, replace_all
from gateway.replica.sweep import Sweep, read_feed, write_feed
from gateway.tasks import FileThread
from gateway.times import Clock

log = structlog.get_logger()

SOURCE: Source = "file"
_EVERY = 60.0
"""Seconds between two looks at a file."""


class ServiceFile:
    """Follows one municipality's file; a file that cannot be used changes nothing, and is an alarm."""

    def __init__(  # noqa: PLR0913, PLR0917 - what following a file takes
        self,
        municipality: str,
        path: Path,
        database: Database,
        seal: ServiceSeal,
        patients: CopiedNumbers,
        clock: Clock,
        files: FileThread,
        node: str,
    ) -> None:
        self._municipality = municipality
        self._path = path
        self._database = database
        self._seal = seal
        self._patients = patients
        self._clock = clock
        self._files = files
        self._node = node
        self._lacking = 0
        """Whom the file names and the copy of PIT does not have, as it was told last."""

    async def step(self) -> float:
        """Look at the file, take it in where it has changed, and return how many seconds there is nothing to do."""
        key = self._municipality
        try:
            mark, services = await self._files.do(lambda: _read(self._path, self._seal, key))
        except (FileUnusable, TimeoutError) as error:
            reasons = error.problems if isinstance(error, FileUnusable) else ["takes too long to be read"]
            log.error("services.file_unusable", municipality=key, file=self._path.name, reasons=reasons)  # noqa: TRY400 - they name lines alone
            SERVICE_FILES_UNUSABLE.labels(key).set(1)
            failure, now = f"{self._path.name}: {reasons[0]}", self._clock()
            await self._database.write(
                lambda connection: feeds.note_failure(connection, FeedKey(key, SOURCE), failure, now), is_news=False
            )
            return _EVERY
        SERVICE_FILES_UNUSABLE.labels(key).set(0)
        now = self._clock()
        known = await self._database.read(lambda connection: read_feed(connection, key, SOURCE))
        if known.after == mark:
            fresh = replace(known, fresh_at=now)
            await self._database.write(partial(self._write, fresh), is_news=False)
        else:
            await self._take(services, mark, now)
        await self._tell_of_lacking()
        return _EVERY

    async def _tell_of_lacking(self) -> None:
        """Tell how many the file names of whom nothing can be answered, since the copy of PIT does not have them: lists are without them."""
        key = self._municipality

        def work(connection: Connection) -> int | None:
            is_there = self._patients.is_there(connection, key)
            return self._patients.lacking(connection, key) if is_there else None

        lacking = await self._database.read(work)
        if lacking is None:
            return
        SERVICES_WITHOUT_PATIENT.labels(key).set(lacking)
        if lacking not in (0, self._lacking):
            log.warning("services.not_in_copy", municipality=key, file=self._path.name, patients=lacking)
        self._lacking = lacking

    async def _take(self, services: Services, mark: str, now: float) -> None:
        key = self._municipality
        sealed = await asyncio.to_thread(
            lambda: {
                self._seal.hash(key, number): self._seal.seal(key, number, own) for number, own in services.items()
            }
        )

        def work(connection: Connection) -> None:
            self._write(Sweep(now, now, mark, len(sealed), now), connection)
            replace_all(connection, key, SOURCE, now, sealed)

        await self._database.write(work, is_news=False)
        log.info("services.file_read", municipality=key, file=self._path.name, patients=len(sealed))

    def _write(self, read: Sweep, connection: Connection) -> None:
        """Write down when it was read, as long as this node fills the copy; raises `LeaseLost`."""
        feeds.keep(connection, FeedKey(self._municipality, SOURCE), self._node, self._clock)
        write_feed(connection, self._municipality, SOURCE, read)
        feeds.note_success(connection, FeedKey(self._municipality, SOURCE))


def _read(path: Path, seal: ServiceSeal, municipality: str) -> tuple[str, Services]:
    """Return what a file says, and a keyed mark that changes with it."""
    services = read_services(path)
    told = hashlib.sha256(repr(sorted(services.items())).encode()).hexdigest()
    return seal.mark(municipality, told), services
