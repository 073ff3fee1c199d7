"""`vkp-gateway rollback`: what the new side got since a time is listed, exported, and sent back to VKP."""

import time
from typing import Any

import click

from gateway.admin.rollback import CONFIRMATION
from gateway.admin.rollback_documents import csv_of
from gateway.cli.admin_client import (
    USUAL,
    AdminClient,
    Document,
    admin_options,
    given,
    print_answer,
    print_next,
    segment,
)
from gateway.cli.options import TIME, cursor_option, limit_option, reason_option, with_options
from gateway.cli.output import VKP_SUCCESS, plain, print_json, print_lines, progress
from gateway.ledger.returns import ReturnStatus
from gateway.model import JOURNALING
from gateway.outbox.return_jobs import FASTEST, RATE, SLOWEST, Progress

_ROOT = "/api/v1/rollback"
_selected = with_options(
    click.option("--panic", metavar="ID", help="What a panic has turned back, since any of its cells went new."),
    click.option("--municipality", metavar="NAME|ORGNR", help="An orgnr or short name; needed without --panic."),
    click.option("--vendor", metavar="NAME", help="A vendor's short name."),
    click.option("--system", metavar="NAME", help="A system's short name."),
    click.option(
        "--information",
        multiple=True,
        type=click.Choice(sorted(each.value for each in JOURNALING)),
        help="May be given several times; every type if left out.",
    ),
    click.option(
        "--since",
        type=TIME,
        metavar="TIME",
        help="Received then or later, as 2026-12-01T08:00+01:00; needed without --panic.",
    ),
)
_confirm = click.option(
    "--confirm-epj-stopped-reading",
    "confirmed",
    is_flag=True,
    help="The record system reads nothing from JFT any more: you have seen to it.",
)
_wait = click.option("--wait", is_flag=True, help="Wait for the end of the job, and say how it ended.")


@click.group()
def rollback() -> None:
    """Go back to VKP with nothing lost, when the routes have been rolled back."""


@rollback.command("list")
@_selected
@click.option("--group", type=click.Choice([each.value for each in ReturnStatus]), help="Name those of one group only.")
@limit_option(100, USUAL.messages)
@cursor_option
@admin_options
def list_messages(*, client: AdminClient, group: str | None, limit: int, cursor: str | None, **selection: Any) -> None:
    """List what the new side got, and say whether it can be sent back now."""
    document = client.post(f"{_ROOT}/list", **_selection(selection), group=group, limit=limit, cursor=cursor)
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
    items = _all(client, _selection(selection))
    if not items and not client.as_json:
        click.echo("The new side got nothing of this since then: the table has its heading alone.", err=True)
    if client.as_json:
        print_json({"items": items})
    else:
        output.write(csv_of(items))


@rollback.command()
@_selected
@click.option(
    "--rate", type=click.FloatRange(SLOWEST, FASTEST), default=RATE, show_default=True, help="Messages in a second."
)
@reason_option
@_confirm
@_wait
@admin_options
def send(*, client: AdminClient, rate: float, reason: str, confirmed: bool, wait: bool, **selection: Any) -> None:
    """Begin to send back what nobody has read; whoever made the API token answers for what it confirms."""
    _check(confirmed)
    wanted = _selection(selection)
    sendable = _sendable(client, wanted) if wait else 0
    document = client.post(f"{_ROOT}/send", **wanted, confirm=CONFIRMATION, reason=reason, rate=rate)
    if not client.as_json:
        click.echo(f"job  {plain(document['id'])}")
    if wait:
        _end(client, _waited_for(client, document["id"], sendable))
    elif client.as_json:
        print_json(document)
    else:
        click.echo("The gateway is sending; vkp-gateway rollback status JOB says how far it is.", err=True)


@rollback.command("send-one")
@click.argument("reference")
@reason_option
@_confirm
@admin_options
def send_one(*, client: AdminClient, reference: str, reason: str, confirmed: bool) -> None:
    """Send back one message that was read and not acknowledged, or is in quarantine; exit 1 if VKP does not take it."""
    _check(confirmed)
    document = client.post(f"{_ROOT}/send-one", reference=reference, confirm=CONFIRMATION, reason=reason)
    print_answer(client, document, f"{document['reference']}  {document['outcome']}")


@rollback.command()
@click.argument("job")
@_wait
@admin_options
def status(*, client: AdminClient, job: str, wait: bool) -> None:
    """Say how far a job is; exit 1 if it gave up."""
    document = client.get(f"{_ROOT}/jobs/{segment(job)}")
    if wait and document["progress"] == Progress.RUNNING.value:
        document = _waited_for(client, job, _sendable(client, document["selection"]) + _done(document))
    _end(client, document)


@rollback.command()
@click.argument("job")
@admin_options
def stop(*, client: AdminClient, job: str) -> None:
    """Stop a job after the message that it is at."""
    document = client.post(f"{_ROOT}/jobs/{segment(job)}/stop")
    print_answer(client, document, "The job stops after the message that it is at.")


def _check(confirmed: bool) -> None:
    if not confirmed:
        raise click.UsageError(
            "Give --confirm-epj-stopped-reading when you have seen to it that the record system reads nothing from JFT "
            "any more: what it reads there and gets from VKP too is in the record twice."
        )


def _selection(options: Document) -> Document:
    """Return which messages are meant, as the API has it."""
    if options["panic"] is None and None in (options["municipality"], options["since"]):
        raise click.UsageError("Give --municipality and --since, or --panic.")
    return given(options)


def _all(client: AdminClient, selection: Document) -> list[Document]:
    """Return every message of a selection, with the progress of reading them."""
    most = client.bounds.messages
    document = client.post(f"{_ROOT}/list", **selection, limit=most)
    items = list(document["items"])
    total = sum(group["messages"] for group in document["groups"].values())
    with progress("Messages", total, as_json=client.as_json) as more:
        more(len(items))
        while document["next"] is not None:
            document = client.post(f"{_ROOT}/list", **selection, limit=most, cursor=document["next"])
            items += document["items"]
            more(len(document["items"]))
    return items


def _sendable(client: AdminClient, selection: Document) -> int:
    """Return how many messages of a selection would be sent back now."""
    groups = client.post(f"{_ROOT}/list", **selection, limit=1)["groups"]
    return sum(group["sendable"] for group in groups.values())


def _waited_for(client: AdminClient, job: str, messages: int) -> Document:
    """Return a job that has ended, with the progress of its `messages`."""
    done = 0
    with progress("Messages", messages, as_json=client.as_json) as more:
        while True:
            document = client.get(f"{_ROOT}/jobs/{segment(job)}")
            more(_done(document) - done)
            done = _done(document)
            if document["progress"] != Progress.RUNNING.value:
                return document
            time.sleep(client.bounds.look)


def _done(document: Document) -> int:
    return sum(document["counts"].values())


def _end(client: AdminClient, document: Document) -> None:
    """Print a job; exit 1 if it gave up."""
    if client.as_json:
        print_json(document)
    else:
        _print_job(document)
    if document["progress"] == Progress.GAVE_UP.value:
        raise click.exceptions.Exit(1)


def _print_list(document: Document) -> None:
    for name, group in document["groups"].items():
        sendable = f", {group['sendable']} to be sent" if group["sendable"] else ""
        click.echo(f"{plain(name):<20}{group['messages']}{sendable}")
    if document["groups"].get("returned", {}).get("messages"):
        click.echo(VKP_SUCCESS[document["vkp_success"]])
    for vendor in document["sending"]["without_client"]:
        click.echo(f"no client of ours at VKP for vendor {plain(vendor)}: its messages are not sent")
    for obstacle in document["sending"]["obstacles"]:
        click.echo(f"cannot be sent: {plain(obstacle)}")
    is_any = any(group["messages"] for group in document["groups"].values())
    none = "No message is left in this part of the list." if is_any else "The new side got nothing of this since then."
    print_lines(document["items"], _line, none)
    print_next(document)


def _line(one: Document) -> str:
    what = " ".join((one["group"], *one["marks"])) + (f": {one['reason']}" if one["reason"] else "")
    parts = (one["received_at"], one["reference"], one["sender"], one["information"] or "-", what)
    return "  ".join(map(str, parts))


def _print_job(document: Document) -> None:
    click.echo(plain(f"{document['progress']}{': ' + document['why'] if document['why'] else ''}"))
    for name, number in document["counts"].items():
        if number:
            click.echo(f"{plain(name):<24}{number}")
    for one in document["not_returned"]:
        click.echo(plain(f"  {one['reference']}  {one['outcome']}: {one['reason']}"))
