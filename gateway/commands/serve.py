"""`vkp-gateway serve`: the gateway itself."""

import asyncio

import click

from gateway import telemetry
from gateway.app import Gateway
from gateway.commands.output import config_option, usable
from gateway.config.definitions import Config
from gateway.helseid.client_key import KeyUnusable
from gateway.routing.table import RouteTable


@click.command()
@config_option
def serve(path: str) -> None:
    """Serve until SIGTERM; SIGHUP reads the configuration again. The log is JSON lines on standard error."""
    telemetry.configure()
    config, table = usable(path)
    try:
        asyncio.run(_serve(path, config, table))
    except KeyUnusable as error:
        raise click.ClickException(f"helseid.key_file: {error}") from None
    except OSError as error:
        raise click.ClickException(f"cannot listen: {error.strerror}") from None


async def _serve(path: str, config: Config, table: RouteTable) -> None:
    await Gateway(path, config, table).run()
