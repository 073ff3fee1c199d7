"""`vkp-gateway serve`: the gateway itself."""

import asyncio
import contextlib
import os
import resource
import signal
import sys
from pathlib import Path

import click
import structlog
import uvloop

from gateway.auth.helseid.client_assertion import KeyUnusable
from gateway.auth.people.authenticator import PeopleUnusable, dev_login_problem
from gateway.cli.admin_client import AdminClient, admin_options, plain
from gateway.cli.output import WRONG_USE, config_option, errors, print_json, usable
from gateway.config.load import load
from gateway.config.model import Config
from gateway.ledger.database import LedgerUnusable
from gateway.ledger.key_files import KeysUnusable
from gateway.observability import telemetry
from gateway.proxy.tls import CertificatesUnusable
from gateway.routing.table import RouteTable
from gateway.runtime.beside import unshared
from gateway.runtime.config_file import recall
from gateway.runtime.node import Node
from gateway.runtime.supervisor import Supervisor, WorkerFailed

log = structlog.get_logger()


@click.command()
@config_option
@click.option("--workers", type=click.IntRange(1, 64), default=1, show_default=True, help="Processes that serve.")
@click.option("--json", is_flag=True, expose_value=False, help="The log is JSON in any case.")
@click.option("--dev-login", is_flag=True, help="Let people on this machine log in with any role; environment test.")
@click.option("--last-good", is_flag=True, help="Where the file has an error, start with the last that was taken.")
@click.option("--worker-fd", type=int, hidden=True, help="Where a worker says that it serves.")
@click.option("--worker-version", hidden=True, help="Of the configuration that its supervisor has taken.")
def serve(  # noqa: PLR0913, PLR0917 - one for each option
    path: str, workers: int, dev_login: bool, last_good: bool, worker_fd: int | None, worker_version: str | None
) -> None:
    """Serve until SIGTERM; SIGHUP reads the configuration again. The log is JSON lines on standard error."""
    telemetry.configure()
    _allow_many_connections()
    taken = _taken(path, worker_version) if worker_version is not None else None
    config, table = taken or (_last_good(path) if last_good else usable(path))
    if workers > 1:
        _refuse(unshared(config))
    if dev_login and (problem := dev_login_problem(config)):
        _refuse([problem])
    try:
        if workers > 1:
            asyncio.run(_supervise(path, (config, table), workers, dev_login, last_good))
        else:
            uvloop.run(_serve(path, config, table, worker_fd, dev_login))
    except KeyUnusable as error:
        raise click.ClickException(f"helseid.key_file: {error}") from None
    except KeysUnusable as error:
        raise click.ClickException(f"keys: {error}") from None
    except (LedgerUnusable, WorkerFailed, CertificatesUnusable, PeopleUnusable) as error:
        raise click.ClickException(str(error)) from None
    except OSError as error:
        raise click.ClickException(f"cannot listen: {error.strerror}") from None


def _last_good(path: str) -> tuple[Config, RouteTable]:
    """Return the configuration at `path`; where that has an error, the last one that a gateway took, and say so."""
    loaded = load(path)
    if loaded.config is None:
        kept = recall(Path(path))
        if kept is not None and kept.config is not None and kept.table is not None:
            problems = [str(problem) for problem in errors(loaded)]
            log.error("serve.last_good", problems=problems, version=kept.config.version)
            return kept.config, kept.table
    return usable(path)


def _taken(path: str, version: str) -> tuple[Config, RouteTable] | None:
    """Return the configuration that the supervisor has taken: the file, or its copy where the file is another by now.

    What was refused must not come by a worker that is started again. None where neither is it.
    """
    for loaded in (load(path), recall(Path(path))):
        config, table = (loaded.config, loaded.table) if loaded is not None else (None, None)
        if config is not None and table is not None and config.version == version:
            return config, table
    log.error("serve.taken_configuration_is_gone", version=version)
    return None


def _refuse(problems: list[str]) -> None:
    """End with exit 2 and the problems, if there are any."""
    for problem in problems:
        click.echo(problem, err=True)
    if problems:
        raise click.exceptions.Exit(WRONG_USE)


def _allow_many_connections() -> None:
    """Use as many file descriptors as the system allows: each connection takes one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def _serve(path: str, config: Config, table: RouteTable, worker_fd: int | None, dev_login: bool) -> None:
    gateway = Node(path, config, table, is_worker=worker_fd is not None, dev_login=dev_login)
    await gateway.run(lambda: _say_ready(worker_fd))


async def _supervise(
    path: str, first: tuple[Config, RouteTable], workers: int, dev_login: bool, last_good: bool
) -> None:
    await Supervisor(path, first, workers, dev_login=dev_login, last_good=last_good).run()


def _say_ready(worker_fd: int | None) -> None:
    if worker_fd is not None:
        os.write(worker_fd, b"1")
        os.close(worker_fd)
        # The supervisor holds the other end: when it dies, however it dies, its workers stop too.
        loop = asyncio.get_running_loop()
        loop.add_reader(sys.stdin, _stop_with_supervisor, loop)


def _stop_with_supervisor(loop: asyncio.AbstractEventLoop) -> None:
    loop.remove_reader(sys.stdin)
    os.kill(os.getpid(), signal.SIGTERM)


@click.command()
@click.option("--reason", required=True, help="Why, for the audit.")
@admin_options
def reload(*, client: AdminClient, reason: str) -> None:
    """Have routes.yaml read again; exit 1 where it is refused, with every error, and the running one stays."""
    document = client.post("/api/v1/reload", reason=reason)
    if client.as_json:
        print_json(document)
        return
    for warning in document["warnings"]:
        click.echo(plain(warning), err=True)
    click.echo(f"taken: table {document['generation']}")
