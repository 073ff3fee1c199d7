"""Run the double of legacy VKP: `python -m legacy_stubs`."""

import asyncio

import click

from legacy_stubs.vkp_r4 import LegacyVkp
from service_stubs.listening import serve


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=9101, show_default=True, help="Port to listen on; 0 takes a free one.")
@click.option("--issuer", help="Verify the signature of tokens against this issuer's keys.")
def main(host: str, port: int, issuer: str | None) -> None:
    """Run a double of legacy VKP's R4 and STU3 interfaces until it is told to stop."""
    asyncio.run(serve([LegacyVkp(host=host, port=port, issuer=issuer)]))


if __name__ == "__main__":
    main(prog_name="python -m legacy_stubs")
