"""`vkp-gateway audit`: who did what to messages, and whether that record is whole."""

from typing import Any

import click

from gateway.admin.csv import table_of
from gateway.admin.report import COLUMNS
from gateway.cli.admin_client import AdminClient, admin_options, plain
from gateway.cli.output import print_json

_ROOT = "/api/v1/audit"


@click.group()
def audit() -> None:
    """Look at the audit of a running gateway."""


@audit.command("list")
@click.option("--limit", type=click.IntRange(1, 200), default=50, show_default=True)
@click.option("--cursor", metavar="C", help="As the list before gave it.")
@admin_options
def list_entries(*, client: AdminClient, limit: int, cursor: str | None) -> None:
    """List entries, the newest first."""
    document = client.get(_ROOT, limit=limit, cursor=cursor)
    if client.as_json:
        print_json(document)
        return
    for one in document["entries"]:
        click.echo(plain(_line(one)))
    if document["next"]:
        click.echo(f"more: --cursor {plain(document['next'])}")


@audit.command()
@admin_options
def verify(*, client: AdminClient) -> None:
    """Say whether every entry is as it was written, and none is missing; exit 1 if not."""
    document = client.get(f"{_ROOT}/verify")
    if client.as_json:
        print_json(document)
    elif document["ok"]:
        newest = document["newest"]
        click.echo(plain(f"whole, up to entry {newest['id']}, {newest['hash']}") if newest else "no entries")
    else:
        click.echo(plain(f"broken at entry {document['broken_at']}"))
    if not document["ok"]:
        raise click.exceptions.Exit(1)


def _line(entry: dict[str, Any]) -> str:
    told = "; ".join(filter(None, (entry["reason"], entry["detail"])))
    parts = (entry["id"], entry["at"], entry["actor"], entry["action"], entry["target"], told)
    return "  ".join(map(str, parts)).rstrip()


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

_CELLS_AT_ONCE = 2000
"""Cells; the gateway makes the whole report for each part of it."""


@click.command()
@click.option("--csv", "as_csv", is_flag=True, help="Print a table for a spreadsheet.")
@click.option("--holding-back", is_flag=True, help="Only cells that still need VKP.")
@admin_options
def report(*, client: AdminClient, as_csv: bool, holding_back: bool) -> None:
    """Say of each municipality, vendor and type how far it is: on VKP, rehearsed clean, moved; and when it was seen last."""
    document = client.whole("/api/v1/report", "cells", limit=_CELLS_AT_ONCE)
    cells = [cell for cell in document["cells"] if cell["holds_back"] or not holding_back]
    if client.as_json:
        print_json({**document, "cells": cells})
    elif as_csv:
        click.echo(table_of(COLUMNS, cells), nl=False)
    else:
        _print(cells, document["holding_back"])


def _print(cells: list[dict[str, Any]], back: dict[str, dict[str, int]]) -> None:
    for cell in cells:
        share = (
            "" if cell["clean_share"] is None else f"  rehearsed {cell['rehearsed']}, {cell['clean_share']:.1%} clean"
        )
        seen = f"  {cell['messages']} messages, last {cell['last_seen']}" if cell["last_seen"] else "  not seen"
        names = "  ".join(plain(str(cell[name])) for name in ("municipality", "vendor", "system", "information"))
        click.echo(f"{names}  {cell['standing']}{share}{seen}")
    for name, counted in back.items():
        told = ", ".join(f"{plain(who)} {number}" for who, number in counted.items()) or "nobody"
        click.echo(f"still needs VKP, by {name}: {told}")
