"""Run the doubles of HelseID and of NHN's services: `python -m service_stubs`."""

import asyncio
from pathlib import Path
from typing import Any

import click

from service_stubs.clients import Client, read_clients
from service_stubs.helseid import HelseIdStub
from service_stubs.jft import JftStub
from service_stubs.listening import serve
from service_stubs.okt import OktStub
from service_stubs.pit import PitStub
from service_stubs.pmd import PmdStub

HELSEID_PORT = 9100
WRITE_PORT = 9102
READ_PORT = 9103
OKT_PORT = 9105
PIT_PORT = 9104
PMD_PORT = 9106

_CLIENTS_OPTION = click.option(
    "--clients", "clients_file", type=click.Path(path_type=Path), help="JSON file of registered clients."
)
_HOST_OPTION = click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")


@click.group(invoke_without_command=True)
@_CLIENTS_OPTION
@click.pass_context
def main(context: click.Context, clients_file: Path | None) -> None:
    """Run doubles of HelseID and JFT until they are told to stop; without a command, both on their default ports."""
    if context.invoked_subcommand is None:
        helseid = HelseIdStub(_clients(clients_file), port=HELSEID_PORT)
        jft = JftStub(f"http://127.0.0.1:{HELSEID_PORT}", write_port=WRITE_PORT, read_port=READ_PORT)
        asyncio.run(serve([helseid, jft]))
    elif clients_file is not None:
        raise click.UsageError("--clients belongs after the command helseid")


@main.command("helseid")
@_HOST_OPTION
@click.option("--port", default=HELSEID_PORT, show_default=True, help="Port to listen on; 0 takes a free one.")
@_CLIENTS_OPTION
@click.option("--issuer", help="Issuer name, if callers know the stub by another address.")
@click.option("--token-lifetime", default=600, show_default=True, help="Lifetime of access tokens in seconds.")
def run_helseid(host: str, port: int, clients_file: Path | None, issuer: str | None, token_lifetime: int) -> None:
    """Run a double of HelseID."""
    clients = _clients(clients_file)
    stub = HelseIdStub(clients, host=host, port=port, issuer_override=issuer, token_seconds=token_lifetime)
    asyncio.run(serve([stub]))


@main.command("jft")
@_HOST_OPTION
@click.option("--write-port", default=WRITE_PORT, show_default=True, help="Port of the WriteAPI; 0 takes a free one.")
@click.option("--read-port", default=READ_PORT, show_default=True, help="Port of the ReadAPI; 0 takes a free one.")
@click.option("--issuer", default=f"http://127.0.0.1:{HELSEID_PORT}", show_default=True, help="Trusted token issuer.")
@click.option("--environment", type=click.Choice(["test", "production"]), default="test", show_default=True)
@click.option("--checks", type=click.Choice(["strict", "light"]), default="strict", show_default=True)
@click.option(
    "--status-field",
    type=click.Choice(["journalingAcknowledged", "journaled"]),
    default="journalingAcknowledged",
    show_default=True,
    help="What an event's status calls the acknowledgement.",
)
@click.option(
    "--numbers",
    type=click.Choice(["patient", "everywhere"]),
    default="patient",
    show_default=True,
    help="Whose national numbers are checked.",
)
@click.option(
    "--codes",
    type=click.Choice(["known", "any"]),
    default="known",
    show_default=True,
    help="Whether VKP's codes must be of today's tables, and dispenses successful.",
)
@click.option("--acknowledged-code", default="true", show_default=True, help="The code of an acknowledged event's tag.")
@click.option("--write-url", "public_write_url", help="WriteAPI's address, if callers know it by another.")
@click.option("--read-url", "public_read_url", help="ReadAPI's address, if callers know it by another.")
def run_jft(**options: Any) -> None:
    """Run a double of JFT; light checks leave out the FHIR structure."""
    asyncio.run(serve([JftStub(**options)]))


@main.command("okt")
@_HOST_OPTION
@click.option("--port", default=OKT_PORT, show_default=True, help="Port to listen on; 0 takes a free one.")
@click.option("--issuer", default=f"http://127.0.0.1:{HELSEID_PORT}", show_default=True, help="Trusted token issuer.")
@click.option(
    "--unknown",
    type=click.Choice(["404", "empty"]),
    default="404",
    show_default=True,
    help="What is answered for somebody without services.",
)
@click.option(
    "--most-per-second", type=int, help="Look-ups in a second before the answer is 429; all are answered otherwise."
)
def run_okt(**options: Any) -> None:
    """Run a double of OKT, which knows nobody until it is told by POST /stub/services."""
    asyncio.run(serve([OktStub(**options)]))


@main.command("pmd")
@_HOST_OPTION
@click.option("--port", default=PMD_PORT, show_default=True, help="Port to listen on; 0 takes a free one.")
@click.option("--issuer", default=f"http://127.0.0.1:{HELSEID_PORT}", show_default=True, help="Trusted token issuer.")
@click.option("--scope", help="The scope that tokens must have; without it whoever comes is taken.")
def run_pmd(**options: Any) -> None:
    """Run a double of PMD."""
    asyncio.run(serve([PmdStub(**options)]))


@main.command("pit")
@_HOST_OPTION
@click.option("--port", default=PIT_PORT, show_default=True, help="Port to listen on; 0 takes a free one.")
@click.option("--issuer", default=f"http://127.0.0.1:{HELSEID_PORT}", show_default=True, help="Trusted token issuer.")
@click.option(
    "--cursors",
    type=click.Choice(["place", "count"]),
    default="place",
    show_default=True,
    help="What a cursor remembers: a place in the order, or how many came before.",
)
@click.option(
    "--fill", "filled", multiple=True, metavar="ORGNR=COUNT", help="So many invented patients of a municipality."
)
def run_pit(filled: tuple[str, ...], **options: Any) -> None:
    """Run a double of PIT."""
    stub = PitStub(**options)
    for orgnr, _, count in (one.partition("=") for one in filled):
        stub.fill(orgnr, int(count))
    asyncio.run(serve([stub]))


def _clients(path: Path | None) -> list[Client]:
    try:
        return [] if path is None else read_clients(path)
    except ValueError as error:
        raise click.ClickException(str(error)) from error


if __name__ == "__main__":
    main(prog_name="python -m service_stubs")
