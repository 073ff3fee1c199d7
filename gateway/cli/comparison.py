"""`vkp-gateway comparison`: how the new side's answers differ from VKP's, as a running gateway has seen them."""

from collections.abc import Iterator
from typing import Any

import click

from gateway.cli.admin_client import AdminClient, admin_options, print_next
from gateway.cli.options import cursor_option, limit_option, municipality_option
from gateway.cli.output import plain, print_json, print_lines
from gateway.counting import counted
from gateway.model import Information

_PATH = "/api/v1/comparisons"


@click.group()
def comparison() -> None:
    """Look at what comparisons of VKP's answers with the new side's have shown."""


@comparison.command("list")
@municipality_option
@click.option("--vendor", metavar="NAME", help="A vendor's short name.")
@click.option("--information", type=click.Choice([each.value for each in Information]), help="One type.")
@limit_option()
@cursor_option
@admin_options
def list_comparisons(*, client: AdminClient, **asked: Any) -> None:
    """List cells with what was compared in seven days, and what differs, the most frequent first."""
    document = client.get(_PATH, **asked)
    if client.as_json:
        print_json(document)
        return
    lines = [line for one in document["comparisons"] for line in _cell(one)]
    print_lines(lines, str, "Nothing was compared in seven days; a route of mode compare does it.")
    print_next(document)


@comparison.command()
@click.argument("fingerprint")
@admin_options
def show(*, client: AdminClient, fingerprint: str) -> None:
    """Show one difference in each cell that has it; exit 1 if none has."""
    document = client.whole(_PATH, "comparisons", fingerprint=fingerprint)
    if client.as_json:
        print_json(document)
    for one in () if client.as_json else document["comparisons"]:
        for each in one["differences"]:
            accepted = "accepted" if each["accepted"] else "counts"
            times = f"first {each['first_seen']}, last {each['last_seen']} in {each['correlation_id']}"
            click.echo(plain(f"{_names(one)}  {_difference(each)}  {accepted}  {times}"))
    if not document["comparisons"]:
        if not client.as_json:
            click.echo("No cell has such a difference in seven days.")
        raise click.exceptions.Exit(1)


def _cell(one: dict[str, Any]) -> Iterator[str]:
    share = "" if one["clean_share"] is None else f", {one['clean_share']:.1%} clean"
    counts = ", ".join(f"{name} {number}" for name, number in sorted(one["counts"].items()))
    yield f"{_names(one)}  compared {one['compared']}{share}  ({counts})"
    for each in one["differences"]:
        yield f"    {each['fingerprint']}  {_difference(each)}{'  accepted' if each['accepted'] else ''}"


def _names(one: dict[str, Any]) -> str:
    return "  ".join(str(one[name] or "-") for name in ("municipality", "vendor", "system", "information"))


def _difference(each: dict[str, Any]) -> str:
    return f"{each['path']} {each['kind'] or ''}  in {counted(each['answers'], 'answer')}, {counted(each['places'], 'place')}"
