"""`vkp-gateway serve`: the gateway itself."""

import asyncio
import os
import signal
import sys

import click
import uvloop

from gateway import telemetry
from gateway.app import Gateway
from gateway.commands.output import WRONG_USE, config_option, usable
from gateway.config.definitions import Config
from gateway.helseid.client_key import KeyUnusable
from gateway.model import Mode
from gateway.routing.table import RouteTable
from gateway.supervisor import Supervisor, WorkerFailed


@click.command()
@config_option
@click.option("--workers", type=click.IntRange(1, 64), default=1, show_default=True, help="Processes that serve.")
@click.option("--worker-fd", type=int, hidden=True, help="Where a worker says that it serves.")
def serve(path: str, workers: int, worker_fd: int | None) -> None:
    """Serve until SIGTERM; SIGHUP reads the configuration again. The log is JSON lines on standard error."""
    telemetry.configure()
    config, table = usable(path)
    if workers > 1:
        _refuse_unshared(config)
    try:
        if workers > 1:
            asyncio.run(_supervise(path, config, workers))
        else:
            uvloop.run(_serve(path, config, table, worker_fd))
    except KeyUnusable as error:
        raise click.ClickException(f"helseid.key_file: {error}") from None
    except WorkerFailed as error:
        raise click.ClickException(str(error)) from None
    except OSError as error:
        raise click.ClickException(f"cannot listen: {error.strerror}") from None


def _refuse_unshared(config: Config) -> None:
    """End with exit 2 when several processes would each keep to themselves what must be shared."""
    moved = [route for route in config.routes if route.mode is not Mode.LEGACY]
    if moved and config.store.startswith("sqlite:"):
        for route in moved:
            click.echo(f"{route.place}: mode {route.mode} with more than one worker needs a postgresql store", err=True)
        raise click.exceptions.Exit(WRONG_USE)


async def _serve(path: str, config: Config, table: RouteTable, worker_fd: int | None) -> None:
    gateway = Gateway(path, config, table, is_worker=worker_fd is not None)
    await gateway.run(lambda: _say_ready(worker_fd))


async def _supervise(path: str, config: Config, workers: int) -> None:
    await Supervisor(path, config, workers).run()


def _say_ready(worker_fd: int | None) -> None:
    if worker_fd is not None:
        os.write(worker_fd, b"1")
        os.close(worker_fd)
        # The supervisor holds the other end: when it dies, however it dies, its workers stop too.
        asyncio.get_running_loop().add_reader(sys.stdin, os.kill, os.getpid(), signal.SIGTERM)
