"""Run the double of legacy VKP: `python -m legacy_stubs`."""

import asyncio
from typing import Any

import click

from legacy_stubs.vkp_r4 import LegacyVkp
from service_stubs.listening import serve


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=9101, show_default=True, help="Port to listen on; 0 takes a free one.")
@click.option("--issuer", help="Verify the signature of tokens against this issuer's keys.")
@click.option(
    "--checks",
    type=click.Choice(["documented", "form"]),
    default="documented",
    show_default=True,
    help="Whether messages need what VKP's profiles and pages say, or must only be readable.",
)
@click.option("--any-audience", is_flag=True, help="Take tokens that are for another API.")
@click.option("--fails-later", is_flag=True, help="Let the record system refuse what was answered with success.")
def main(**options: Any) -> None:
    """Run a double of legacy VKP's R4 and STU3 interfaces until it is told to stop."""
    audience = None if options.pop("any_audience") else "nhn:vkp"
    asyncio.run(serve([LegacyVkp(audience=audience, **options)]))


if __name__ == "__main__":
    main(prog_name="python -m legacy_stubs")
