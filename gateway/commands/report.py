"""`vkp-gateway report`: how far the migration has come, cell by cell, and who still needs VKP."""

from typing import Any

import click

from gateway.admin.csv import table_of
from gateway.admin.report import COLUMNS
from gateway.commands.admin_client import AdminClient, admin_options, plain
from gateway.commands.output import print_json

_AT_ONCE = 2000
"""Cells; the gateway makes the whole report for each part of it."""


@click.command()
@click.option("--csv", "as_csv", is_flag=True, help="Print a table for a spreadsheet.")
@click.option("--holding-back", is_flag=True, help="Only cells that still need VKP.")
@admin_options
def report(*, client: AdminClient, as_csv: bool, holding_back: bool) -> None:
    """Say of each municipality, vendor and type how far it is: on VKP, rehearsed clean, moved; and when it was seen last."""
    document = client.whole("/api/v1/report", "cells", limit=_AT_ONCE)
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
