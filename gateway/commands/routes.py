"""`vkp-gateway routes`: every route of a running gateway with what lies over it, the strongest first."""

from typing import Any

import click

from gateway.commands.admin_client import AdminClient, admin_options, plain
from gateway.commands.output import print_json

_AT_ONCE = 200


@click.command()
@click.option("--municipality", metavar="O", help="An orgnr or short name: what names another is left out.")
@admin_options
def routes(*, client: AdminClient, municipality: str | None) -> None:
    """List the routes that are in force, and what was set over them."""
    document = client.whole("/api/v1/routes", "routes", municipality=municipality, limit=_AT_ONCE)
    if client.as_json:
        print_json(document)
        return
    generation = "-" if document["generation"] is None else document["generation"]
    head = (
        f"generation {generation}, file {document['file']} {document['version']}, layers {document['layers_version']}"
    )
    click.echo(plain(head.replace("  ", " ")))
    for one in document["routes"]:
        until = f"until {one['until']}" if one["until"] else ""
        click.echo(plain("  ".join(filter(None, (one["place"], one["mode"], cells_of(one), rest_of(one), until)))))


def cells_of(route: dict[str, Any]) -> str:
    """Return which cells a route names, as a person reads it."""
    named = [route["municipality"], route["vendor"], route["system"], *(route["information"] or ())]
    return ", ".join(filter(None, named)) or "everything else"


def rest_of(route: dict[str, Any]) -> str:
    """Return what a route says beside its cells and its mode."""
    said = {name: value for name, value in route.items() if name in _POLICIES}
    return " ".join(f"{name}={','.join(value) if isinstance(value, list) else value}" for name, value in said.items())


_POLICIES = frozenset(
    {"losses", "answer", "on_outage", "unclear", "acknowledge_within", "share", "always", "never", "sample"}
)
