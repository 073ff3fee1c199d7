"""`vkp-gateway rollback`: what the new side got since a time is listed, exported, and sent back to VKP."""

from collections.abc import Callable, Iterator
from typing import Any

import click

from gateway.admin.rollback import CONFIRMATION
from gateway.admin.rollback_documents import csv_of
from gateway.cli.admin_client import AdminClient, admin_options, plain, segment
from gateway.cli.output import print_json
from gateway.ledger.returns import ReturnStatus
from gateway.model import JOURNALING
from gateway.outbox.return_jobs import FASTEST, RATE, SLOWEST, Progress

Document = dict[str, Any]
_ROOT = "/api/v1/rollback"
_MOST = 500
_SELECTION = (
    click.option("--municipality", required=True, metavar="O", help="An orgnr or short name."),
    click.option("--vendor", metavar="V", help="A vendor's short name."),
    click.option("--system", metavar="V", help="A system's short name."),
    click.option(
        "--information",
        multiple=True,
        type=click.Choice(sorted(each.value for each in JOURNALING)),
        help="May be given several times; every type if left out.",
    ),
    click.option(
        "--since",
        required=True,
        type=click.DateTime(["%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%dT%H:%M%z"]),
        metavar="T",
        help="Received then or later, as 2026-12-01T08:00+01:00.",
    ),
)
_reason = click.option("--reason", required=True, metavar="TEXT", help="Why; it is kept in the audit.")
_confirm = click.option(
    "--confirm-epj-stopped-reading",
    "confirmed",
    is_flag=True,
    help="The record system reads nothing from JFT any more: you have seen to it.",
)


def _selected(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in reversed(_SELECTION):
        command = option(command)
    return command


@click.group()
def rollback() -> None:
    """Go back to VKP with nothing lost, when the routes have been rolled back."""


@rollback.command("list")
@_selected
@click.option("--group", type=click.Choice([each.value for each in ReturnStatus]), help="Name those of one group only.")
@click.option("--limit", type=click.IntRange(1, _MOST), default=100, show_default=True)
@click.option("--cursor", metavar="C", help="As the list before gave it.")
@admin_options
def list_messages(*, client: AdminClient, group: str | None, limit: int, cursor: str | None, **selection: Any) -> None:
    """List what the new side got, and say whether it can be sent back now."""
    asked = {**_given(selection), "group": group, "limit": limit, "cursor": cursor}
    document = client.post(f"{_ROOT}/list", **asked)
    if client.as_json:
        print_json(document)
    else:
        _print_list(document)


@rollback.command()
@_selected
@click.option("--output", type=click.File("w", encoding="utf-8"), default="-", metavar="FILE", help="As CSV.")
@admin_options
def export(*, client: AdminClient, output: Any, **selection: Any) -> None:
    """Write all of it as a table, or as JSON with --json."""
    items = list(_all(client, _given(selection)))
    if client.as_json:
        print_json({"items": items})
    else:
        output.write(csv_of(items))


@rollback.command()
@_selected
@click.option(
    "--rate", type=click.FloatRange(SLOWEST, FASTEST), default=RATE, show_default=True, help="Messages in a second."
)
@_reason
@_confirm
@admin_options
def send(*, client: AdminClient, rate: float, reason: str, confirmed: bool, **selection: Any) -> None:
    """Begin to send back what nobody has read; whoever made the API token answers for what it confirms."""
    _check(confirmed)
    document = client.post(f"{_ROOT}/send", **_given(selection), confirm=CONFIRMATION, reason=reason, rate=rate)
    if client.as_json:
        print_json(document)
    else:
        click.echo(f"job  {plain(document['id'])}")


@rollback.command("send-one")
@click.argument("reference")
@_reason
@_confirm
@admin_options
def send_one(*, client: AdminClient, reference: str, reason: str, confirmed: bool) -> None:
    """Send back one message that was read and not acknowledged, or is in quarantine; exit 1 if VKP does not take it."""
    _check(confirmed)
    document = client.post(f"{_ROOT}/send-one", reference=reference, confirm=CONFIRMATION, reason=reason)
    if client.as_json:
        print_json(document)
    else:
        click.echo(plain(f"{document['reference']}  {document['outcome']}"))


@rollback.command()
@click.argument("job")
@admin_options
def status(*, client: AdminClient, job: str) -> None:
    """Say how far a job is; exit 1 if it gave up."""
    document = client.get(f"{_ROOT}/jobs/{segment(job)}")
    if client.as_json:
        print_json(document)
    else:
        _print_job(document)
    if document["progress"] == Progress.GAVE_UP.value:
        raise click.exceptions.Exit(1)


@rollback.command()
@click.argument("job")
@admin_options
def stop(*, client: AdminClient, job: str) -> None:
    """Stop a job after the message that it is at."""
    document = client.post(f"{_ROOT}/jobs/{segment(job)}/stop")
    if client.as_json:
        print_json(document)
    else:
        click.echo("stopping")


def _check(confirmed: bool) -> None:
    if not confirmed:
        raise click.UsageError(
            "give --confirm-epj-stopped-reading when the record system reads nothing from JFT any more"
        )


def _given(selection: Document) -> Document:
    """Return options as the API has them."""
    return {**selection, "since": selection["since"].isoformat(), "information": list(selection["information"])}


def _all(client: AdminClient, selection: Document) -> Iterator[Document]:
    cursor: str | None = None
    while True:
        document = client.post(f"{_ROOT}/list", **selection, limit=_MOST, cursor=cursor)
        yield from document["items"]
        if (cursor := document["next"]) is None:
            return


def _print_list(document: Document) -> None:
    for name, group in document["groups"].items():
        sendable = f", {group['sendable']} to be sent" if group["sendable"] else ""
        click.echo(f"{plain(name):<20}{group['messages']}{sendable}")
    for obstacle in document["sending"]["obstacles"]:
        click.echo(f"cannot be sent: {plain(obstacle)}")
    for one in document["items"]:
        what = " ".join((one["group"], *one["marks"])) + (f": {one['reason']}" if one["reason"] else "")
        parts = (one["received_at"], one["reference"], one["sender"], one["information"] or "-", what)
        click.echo(plain("  ".join(map(str, parts))))
    if document["next"]:
        click.echo(f"more: --cursor {plain(document['next'])}")


def _print_job(document: Document) -> None:
    click.echo(plain(f"{document['progress']}{': ' + document['why'] if document['why'] else ''}"))
    for name, number in document["counts"].items():
        if number:
            click.echo(f"{plain(name):<24}{number}")
    for one in document["not_returned"]:
        click.echo(plain(f"  {one['reference']}  {one['outcome']}: {one['reason']}"))
