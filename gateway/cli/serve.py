"""`vkp-gateway serve`: the gateway itself."""

import contextlib
import os
import resource
from pathlib import Path

import click
import structlog
import uvloop

from gateway.auth.people.authenticator import dev_login_problem
from gateway.cli.configuration import errors, usable
from gateway.cli.options import WRONG_USE, config_option
from gateway.config.load import load, recall
from gateway.config.model import Config
from gateway.errors import StartupError
from gateway.observability import telemetry
from gateway.routing.table import RouteTable
from gateway.runtime.node import Node
from gateway.runtime.sockets import InheritedSockets, inherited

log = structlog.get_logger()


@click.command()
@config_option
@click.option("--json", is_flag=True, expose_value=False, help="The log is JSON in any case.")
@click.option("--dev-login", is_flag=True, help="Let people on this machine log in with any role; environment test.")
@click.option("--last-good", is_flag=True, help="Where the file has an error, start with the last that was taken.")
@click.option(
    "--admin-port",
    type=click.IntRange(1, 65_535),
    help="In place of the port of listen.admin, where several processes have one file.",
)
def serve(path: str, dev_login: bool, last_good: bool, admin_port: int | None) -> None:
    """Serve until SIGTERM; SIGHUP reads the configuration again. The log is JSON lines on standard error."""
    telemetry.configure()
    telemetry.log_uncaught()
    _allow_many_connections()
    _leave_no_core()
    config, table = _last_good(path) if last_good else usable(path)
    if dev_login and (problem := dev_login_problem(config)):
        click.echo(problem, err=True)
        raise click.exceptions.Exit(WRONG_USE)
    try:
        sockets = inherited(os.environ, os.getpid())
        uvloop.run(_serve(path, config, table, dev_login=dev_login, sockets=sockets, admin_port=admin_port))
    except StartupError as error:
        raise click.ClickException(str(error)) from None
    except OSError as error:
        raise click.ClickException(
            f"cannot listen: {error.strerror}; end what listens there, or change listen in {path}."
        ) from None


async def _serve(  # noqa: PLR0913 - how it was started
    path: str,
    config: Config,
    table: RouteTable,
    *,
    dev_login: bool,
    sockets: InheritedSockets,
    admin_port: int | None,
) -> None:
    await Node(path, config, table, dev_login=dev_login, sockets=sockets, admin_port=admin_port).run()


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


def _allow_many_connections() -> None:
    """Use as many file descriptors as the system allows: each connection takes one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _leave_no_core() -> None:
    """Have no memory of this process, nor of those that it starts, written to a disk when they crash: it holds messages and keys."""
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
