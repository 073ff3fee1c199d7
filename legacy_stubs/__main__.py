"""Run the double of legacy VKP: `python -m legacy_stubs`, or with `--record-system` that of a record system."""

import asyncio
from typing import Any

import click

from legacy_stubs.epj import EpjStub, Lets
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
@click.option(
    "--record-system",
    type=click.Choice(["dpop", "bearer", "anybody"]),
    help="Be a record system in VKP's place, which answers searches and lets in so.",
)
@click.option("--fails-later", is_flag=True, help="Let the record system refuse what was answered with success.")
def main(record_system: Lets | None, **options: Any) -> None:
    """Run a double of legacy VKP's R4 and STU3 interfaces until it is told to stop."""
    if record_system is not None:
        if not options["issuer"]:
            raise click.UsageError("--record-system needs --issuer")
        where = {name: options[name] for name in ("issuer", "host", "port")}
        asyncio.run(serve([EpjStub(lets=record_system, **where)]))
        return
    audience = None if options.pop("any_audience") else "nhn:vkp"
    asyncio.run(serve([LegacyVkp(audience=audience, **options)]))


if __name__ == "__main__":
    main(prog_name="python -m legacy_stubs")
