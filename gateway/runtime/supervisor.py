"""Several worker processes behind one data port: started, restarted, rolled and reported on by one supervisor."""

import asyncio
import contextlib
import os
import signal
import sys
import tempfile
from asyncio.subprocess import PIPE, Process
from pathlib import Path

import structlog
from prometheus_client import CollectorRegistry
from prometheus_client.multiprocess import MultiProcessCollector

from gateway.admin.server import AdminPort
from gateway.config.model import Config
from gateway.routing.table import RouteTable
from gateway.runtime.beside import Beside

log = structlog.get_logger()

METRICS_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""The environment variable by which prometheus-client adds up the metrics of several processes."""
_READY_TIMEOUT = 30.0
_STOP_TIMEOUT = 25.0
_PAUSE, _LONGEST_PAUSE = 0.5, 30.0
"""Seconds before a worker that ended is started again: doubled while it keeps ending, up to the longest."""
_STABLE = 60.0
"""Seconds after which a worker counts as having started well."""


class WorkerFailed(Exception):  # noqa: N818 - the condition
    """A worker ended, or was not ready in time, before it could serve."""


class _Worker:
    """One worker process."""

    def __init__(self, process: Process, started_at: float) -> None:
        self.process = process
        self.started_at = started_at

    def tell(self, number: signal.Signals) -> None:
        # Not by the process object: it would look whether the child has ended, and so take the exit code from asyncio.
        if self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.process.pid, number)

    async def stop(self) -> None:
        self.tell(signal.SIGTERM)
        try:
            # Not wait_for: in Python 3.11 it swallows a cancellation that comes together with the result.
            async with asyncio.timeout(_STOP_TIMEOUT):
                await self.process.wait()
        except TimeoutError:
            self.tell(signal.SIGKILL)
            await self.process.wait()


class Supervisor:
    """Keeps `count` workers serving; SIGHUP reloads them all, SIGUSR2 replaces them one after the other."""

    def __init__(
        self,
        path: str,
        first: tuple[Config, RouteTable],
        count: int,
        *,
        dev_login: bool = False,
        last_good: bool = False,
    ) -> None:
        self._path = path
        self._first = first
        self._count = count
        self._dev_login = dev_login
        self._last_good = last_good
        self._beside: Beside | None = None
        self._workers: list[_Worker] = []
        """Those that serve, or did until they ended; one for each slot."""
        self._started: list[_Worker] = []
        """Every one that may still run."""
        self._changing = asyncio.Lock()
        self._metrics = ""
        self._stopping = asyncio.Event()
        self._roll = asyncio.Event()

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT; raises `WorkerFailed` when the first workers cannot serve.

        Raises `KeyUnusable`, `KeysUnusable`, `CertificatesUnusable`, `LedgerUnusable` or `PeopleUnusable` when the admin
        port cannot have what the workers share.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        loop.add_signal_handler(signal.SIGUSR2, self._roll.set)
        with tempfile.TemporaryDirectory(prefix="vkp-gateway-metrics-") as self._metrics:
            registry = CollectorRegistry()
            MultiProcessCollector(registry, path=self._metrics)  # type: ignore[no-untyped-call] # the library has no types here
            admin = AdminPort(registry, dev_login=self._dev_login)
            beside = self._beside = Beside(admin, Path(self._path), self._first, self._tell_workers)
            loop.add_signal_handler(signal.SIGHUP, beside.reload_soon)
            try:
                await beside.start()
                await admin.start(self._first[0])
                await self._run_workers(beside)
            finally:
                await asyncio.gather(*(worker.stop() for worker in self._started))
                await admin.stop()
                await beside.close()

    async def _run_workers(self, beside: Beside) -> None:
        for _ in range(self._count):
            self._workers.append(await self._start())
        log.info("supervisor.started", workers=self._count, admin=str(self._first[0].listen.admin))
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._keep(slot)) for slot in range(self._count)]
            tasks += [group.create_task(self._roll_when_told()), group.create_task(beside.watch())]
            await self._stopping.wait()
            log.info("supervisor.stopping")
            for task in tasks:
                task.cancel()

    async def _start(self) -> _Worker:
        """Start a worker and wait until it serves; raises `WorkerFailed`."""
        loop = asyncio.get_running_loop()
        reading, writing = os.pipe()
        command = [sys.executable, "-m", "gateway", "serve", "--config", self._path, "--worker-fd", str(writing)]
        command += ["--worker-version", self._beside.version] if self._beside is not None else []
        command += ["--last-good"] if self._last_good else []
        environment = {**os.environ, METRICS_FOLDER: self._metrics}
        try:
            process = await asyncio.create_subprocess_exec(
                *command, env=environment, stdin=PIPE, pass_fds=(writing,), start_new_session=True
            )
        finally:
            os.close(writing)
        worker = _Worker(process, loop.time())
        self._started = [*(each for each in self._started if each.process.returncode is None), worker]
        stream = asyncio.StreamReader()
        pipe, _ = await loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(stream), os.fdopen(reading, "rb", buffering=0)
        )
        try:
            async with asyncio.timeout(_READY_TIMEOUT):
                is_ready = await stream.read(1)
        except TimeoutError:
            is_ready = b""
        finally:
            pipe.close()
        if not is_ready:
            await worker.stop()
            raise WorkerFailed(f"a worker ended with exit code {process.returncode} before it served")
        log.info("worker.started", pid=process.pid)
        return worker

    async def _keep(self, slot: int) -> None:
        """Start a worker again whenever it ends by itself, after a pause that grows while it keeps ending."""
        pause = _PAUSE
        while True:
            worker = self._workers[slot]
            code = await worker.process.wait()
            if self._workers[slot] is not worker:
                continue
            lived = asyncio.get_running_loop().time() - worker.started_at
            pause = _PAUSE if lived > _STABLE else min(pause * 2, _LONGEST_PAUSE)
            log.error("worker.ended", pid=worker.process.pid, code=code, starts_again_in=pause)
            await asyncio.sleep(pause)
            while not await self._started_again(slot, worker):
                pause = min(pause * 2, _LONGEST_PAUSE)
                await asyncio.sleep(pause)

    async def _started_again(self, slot: int, ended: _Worker) -> bool:
        """Put another worker in the place of one that ended, unless a roll has; return whether one is there."""
        async with self._changing:
            if self._workers[slot] is not ended:
                return True
            try:
                self._workers[slot] = await self._start()
            except WorkerFailed as error:
                log.warning("worker.failed", error=str(error))
                return False
            return True

    async def _roll_when_told(self) -> None:
        """Replace the workers one after the other; each new one serves before its predecessor stops."""
        while True:
            await self._roll.wait()
            self._roll.clear()
            for slot in range(self._count):
                async with self._changing:
                    try:
                        replacement = await self._start()
                    except WorkerFailed as error:
                        log.warning("supervisor.roll_stopped", error=str(error))
                        break
                    before, self._workers[slot] = self._workers[slot], replacement
                await before.stop()
            else:
                log.info("supervisor.rolled")

    def _tell_workers(self) -> None:
        for worker in self._workers:
            worker.tell(signal.SIGHUP)
