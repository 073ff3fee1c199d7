"""`vkp-gateway audit`, `routes` and `report`: what a running gateway has done, does, and has still to move."""

import json
from typing import Any, BinaryIO

import click

from gateway.cli.admin_client import AdminClient, admin_options, print_list
from gateway.cli.options import READABLE, cursor_option, limit_option
from gateway.cli.output import VKP_SUCCESS, plain, print_json, print_lines
from gateway.counting import counted
from gateway.routing.route import POLICIES, line_of

_ROOT = "/api/v1/audit"
_LARGEST_HEAD = 10_000
"""Bytes."""


@click.group()
def audit() -> None:
    """Look at the audit of a running gateway."""


@audit.command("list")
@limit_option()
@cursor_option
@admin_options
def list_entries(*, client: AdminClient, limit: int, cursor: str | None) -> None:
    """List entries, the newest first."""
    print_list(client, client.get(_ROOT, limit=limit, cursor=cursor), "entries", _line, "The audit has no entries.")


@audit.command()
@admin_options
def head(*, client: AdminClient) -> None:
    """Print the end of the chain, signed, as JSON: keep it where nobody who can write to the database can change it."""
    print_json(client.get(f"{_ROOT}/head"))


@audit.command()
@click.option("--head", "kept", type=READABLE, metavar="FILE", help="What `audit head` printed before.")
@admin_options
def verify(*, client: AdminClient, kept: BinaryIO | None) -> None:
    """Say whether every entry is as it was written, and none is missing; exit 1 if not."""
    document = client.get(f"{_ROOT}/verify") if kept is None else client.post(f"{_ROOT}/verify", **_read_head(kept))
    if client.as_json:
        print_json(document)
    elif document["ok"]:
        newest = document["newest"]
        click.echo(plain(f"The audit is whole, up to entry {newest['id']}, {newest['hash']}"))
    elif document["broken_at"] is None:
        click.echo(plain(f"The audit does not go on from that head: {document['head']}."))
    elif document["newest"] is None:
        click.echo("The audit has no entries: none was written yet, or all were removed.")
    else:
        broken = f"The audit is broken at entry {document['broken_at']}: it was changed, put in or removed."
        click.echo(plain(broken))
    if not document["ok"]:
        raise click.exceptions.Exit(1)


def _read_head(kept: BinaryIO) -> dict[str, Any]:
    try:
        document = json.loads(kept.read(_LARGEST_HEAD))
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise click.UsageError("--head is not what `audit head` printed; give the file that it was kept in.")
    return document


def _line(entry: dict[str, Any]) -> str:
    told = "; ".join(filter(None, (entry["reason"], entry["detail"])))
    parts = (entry["id"], entry["at"], entry["actor"], entry["action"], entry["target"], told)
    return "  ".join(map(str, parts)).rstrip()


@click.command()
@click.option("--municipality", metavar="NAME|ORGNR", help="An orgnr or short name: what names another is left out.")
@admin_options
def routes(*, client: AdminClient, municipality: str | None) -> None:
    """List the routes that are in force, and what was set over them."""
    document = client.whole("/api/v1/routes", "routes", municipality=municipality, limit=client.bounds.routes)
    if client.as_json:
        print_json(document)
        return
    generation = "-" if document["generation"] is None else document["generation"]
    head = (
        f"generation {generation}, file {document['file']} {document['version']}, layers {document['layers_version']}"
    )
    click.echo(plain(head.replace("  ", " ")))
    print_lines(document["routes"], _route_line, "No route is in force here.")


def _route_line(one: dict[str, Any]) -> str:
    until = f"until {one['until']}" if one["until"] else ""
    return "  ".join(filter(None, (one["place"], one["mode"], cells_of(one), rest_of(one), until)))


def cells_of(route: dict[str, Any]) -> str:
    """Return which cells a route names, as a person reads it."""
    named = [route["municipality"], route["vendor"], route["system"], *(route["information"] or ())]
    return ", ".join(filter(None, named)) or "everything else"


def rest_of(route: dict[str, Any]) -> str:
    """Return what a route says beside its cells and its mode."""
    said = {name: value for name, value in route.items() if name in POLICIES}
    return " ".join(
        f"{name}={','.join(map(line_of, value)) if isinstance(value, list) else value}" for name, value in said.items()
    )


@click.command()
@click.option("--csv", "as_csv", is_flag=True, help="Print a table for a spreadsheet.")
@click.option("--holding-back", is_flag=True, help="Only cells that still need VKP.")
@admin_options
def report(*, client: AdminClient, as_csv: bool, holding_back: bool) -> None:
    """Say of each municipality, vendor and type how far it is: on VKP, rehearsed clean, moved; and when it was seen last."""
    document = client.whole("/api/v1/report", "cells", limit=client.bounds.cells)
    cells = [cell for cell in document["cells"] if cell["holds_back"] or not holding_back]
    if client.as_json:
        print_json({**document, "cells": cells})
    elif as_csv:
        # The table is made as the gateway makes it, which takes its libraries.
        from gateway.admin.csv import table_of  # noqa: PLC0415 - said above
        from gateway.admin.report import COLUMNS  # noqa: PLC0415 - said above

        click.echo(table_of(COLUMNS, cells), nl=False)
    else:
        none = "There is no cell that this token may see."
        if document["cells"]:
            none = "No cell still needs VKP, by what this gateway has seen of it."
        print_lines(cells, _cell_line, none)
        _print_holding_back(document["holding_back"], document["vkp_success"])


def _cell_line(cell: dict[str, Any]) -> str:
    share = "" if cell["clean_share"] is None else f"  rehearsed {cell['rehearsed']}, {cell['clean_share']:.1%} clean"
    seen = f"  {counted(cell['messages'], 'message')}, last {cell['last_seen']}" if cell["last_seen"] else "  not seen"
    names = "  ".join(str(cell[name]) for name in ("municipality", "vendor", "system", "information"))
    return f"{names}  {cell['standing']}{share}{seen}"


def _print_holding_back(back: dict[str, dict[str, int]], success: str) -> None:
    click.echo(VKP_SUCCESS[success])
    for name, numbers in back.items():
        told = ", ".join(f"{plain(who)} {number}" for who, number in numbers.items()) or "nobody"
        click.echo(f"still needs VKP, by {name}: {told}")
