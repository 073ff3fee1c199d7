"""`vkp-gateway audit`: who did what to messages, and whether that record is whole."""

from typing import Any

import click

from gateway.commands.admin_client import AdminClient, admin_options, plain
from gateway.commands.output import print_json

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
