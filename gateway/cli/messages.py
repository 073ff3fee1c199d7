"""`vkp-gateway messages`, `resend`, `quarantine`, `forget`: what a running gateway has in its ledger, and what a person decides."""

from typing import Any

import click

from gateway.cli.admin_client import (
    AdminClient,
    Document,
    admin_options,
    given,
    number_from_stdin,
    print_answer,
    print_list,
    segment,
)
from gateway.cli.options import TIME, cursor_option, limit_option, municipality_option, reason_option, with_options
from gateway.cli.output import plain, print_json
from gateway.ledger.message_queries import IDENTIFIER_REUSED, POSSIBLE_DUPLICATE
from gateway.ledger.records import MessageState
from gateway.model import Information

_ROOT = "/api/v1"
_filters = with_options(
    municipality_option,
    click.option("--state", type=click.Choice([each.value for each in MessageState])),
    click.option("--sender", metavar="ID", help="A vkp-id or HER-id."),
    click.option("--information", type=click.Choice([each.value for each in Information])),
    click.option("--overdue", is_flag=True, help="Delivered, and not acknowledged in time."),
    click.option("--mark", type=click.Choice([POSSIBLE_DUPLICATE, IDENTIFIER_REUSED])),
    click.option("--since", type=TIME, metavar="TIME", help="Received then or later, as 2026-12-01T08:00+01:00."),
    click.option("--until", type=TIME, metavar="TIME", help="Received before."),
    limit_option(),
    cursor_option,
)


@click.group()
def messages() -> None:
    """Look at messages in the ledger of a running gateway; what they say is never shown."""


@messages.command("list")
@_filters
@admin_options
def list_messages(*, client: AdminClient, **filters: Any) -> None:
    """List messages, the newest first."""
    document = client.get(f"{_ROOT}/messages", **given(filters))
    print_list(client, document, "messages", _line, "No message matches.")


@messages.command()
@_filters
@admin_options
def search(*, client: AdminClient, **filters: Any) -> None:
    """List one patient's messages; the number comes on standard input."""
    document = client.post(f"{_ROOT}/messages/search", patient=number_from_stdin(), **given(filters))
    print_list(client, document, "messages", _line, "No message of this patient matches.")


@messages.command()
@click.argument("reference")
@admin_options
def show(*, client: AdminClient, reference: str) -> None:
    """Show where a message is and how it came there."""
    document = client.get(f"{_ROOT}/messages/{segment(reference)}")
    if client.as_json:
        print_json(document)
    else:
        print_message(document)


_target_option = click.option("--target", default="pmd", show_default=True, help="With whom it is shared.")


@messages.command("resend-share")
@click.argument("reference")
@_target_option
@reason_option
@admin_options
def resend_share(*, client: AdminClient, reference: str, target: str, reason: str) -> None:
    """Send again what was perhaps shared of a message; where the service had it, it has it twice."""
    path = f"{_ROOT}/messages/{segment(reference)}/shares/{segment(target)}/resend"
    _print_change(client, client.post(path, reason=reason))


@messages.command("discard-share")
@click.argument("reference")
@_target_option
@reason_option
@admin_options
def discard_share(*, client: AdminClient, reference: str, target: str, reason: str) -> None:
    """Give up what was perhaps shared of a message; what was kept to send is forgotten."""
    path = f"{_ROOT}/messages/{segment(reference)}/shares/{segment(target)}/discard"
    _print_change(client, client.post(path, reason=reason))


@click.command()
@click.argument("reference")
@reason_option
@admin_options
def resend(*, client: AdminClient, reference: str, reason: str) -> None:
    """Have a quarantined message delivered after all."""
    _print_change(client, client.post(f"{_ROOT}/messages/{segment(reference)}/resend", reason=reason))


@click.group()
def quarantine() -> None:
    """Decide about messages whose senders were told of success and that could not be delivered."""


@quarantine.command("list")
@municipality_option
@limit_option()
@cursor_option
@admin_options
def list_quarantine(*, client: AdminClient, **filters: Any) -> None:
    """List what is in quarantine, the newest first."""
    document = client.get(f"{_ROOT}/messages", state=MessageState.QUARANTINED.value, **filters)
    print_list(client, document, "messages", _line, "No message is in quarantine.")


@quarantine.command()
@click.argument("reference")
@reason_option
@admin_options
def release(*, client: AdminClient, reference: str, reason: str) -> None:
    """Have a message delivered after all; where it was unclear whether it arrived, it may come twice."""
    _print_change(client, client.post(f"{_ROOT}/quarantine/{segment(reference)}/release", reason=reason))


@quarantine.command()
@click.argument("reference")
@reason_option
@admin_options
def discard(*, client: AdminClient, reference: str, reason: str) -> None:
    """Give a message up for good; its content is forgotten."""
    _print_change(client, client.post(f"{_ROOT}/quarantine/{segment(reference)}/discard", reason=reason))


@click.command()
@reason_option
@admin_options
def forget(*, client: AdminClient, reason: str) -> None:
    """Forget a patient's messages that nothing waits for; the number comes on standard input. Exit 1 if some are left."""
    document = client.post(f"{_ROOT}/forget", patient=number_from_stdin(), reason=reason)
    not_shared = [f"not shared {document['not_shared']}"] if document["not_shared"] else []
    left = [f"left       {one['reference']}  {one['municipality']}  {one['state']}" for one in document["left"]]
    print_answer(client, document, f"forgotten  {document['forgotten']}", *not_shared, *left)
    if document["left"]:
        raise click.exceptions.Exit(1)


def print_message(document: Document) -> None:
    """Print what the ledger knows of a message."""
    for name, value in document.items():
        if name not in ("history", "shares") and value not in (None, [], False):
            shown = ", ".join(value) if isinstance(value, list) else "yes" if value is True else value
            click.echo(f"{name.replace('_', ' '):<14}{plain(shown)}")
    for share in document.get("shares", ()):
        told = "; ".join(filter(None, (share["reason"], share["left_out"] and f"left out: {share['left_out']}")))
        click.echo(plain(f"{'shared with':<14}{share['target']}: {share['state']} {told}".rstrip()))
    for step in document["history"]:
        click.echo(plain(f"  {step['at']} {step['node']} {step['state']} {step['reason'] or ''}".rstrip()))


class _NotThere(Exception):  # noqa: N818 - the condition
    """The gateway has nothing under this name."""


class _Finder(AdminClient):
    """Asks for what need not be there."""

    def find(self, path: str) -> Document | None:
        """Return the answer to a GET; None where there is nothing."""
        try:
            return self.get(path)
        except _NotThere:
            return None

    def _refuse(self, status: int, document: Document) -> None:
        if status == 404:
            raise _NotThere
        super()._refuse(status, document)


def explain_message(asking: AdminClient, reference: str) -> None:
    """Say what the ledger knows of a message, and what decided its way, for `explain --message`."""
    client = _Finder(asking.url, asking.token, asking.as_json)
    decision = client.find(f"/api/v1/decisions/{segment(reference)}")
    message = client.find(f"/api/v1/messages/{segment(reference)}")
    if message is None and decision is None:
        raise click.ClickException(
            "not-found: neither the ledger nor the decision log has a message of this reference, or this token may not see it."
        )
    notes = []
    if decision is None:
        notes.append(f"the route that decided is in the log event message with correlation_id {reference}")
    elif decision.get("information") is None:
        notes.append("what the message was about did not matter for its way, and was not read")
    if client.as_json:
        print_json({**(message or {}), "decision": decision, "notes": notes})
        return
    if message is not None:
        print_message(message)
    if decision is not None:
        click.echo("decided by")
        for name, value in decision.items():
            if value not in (None, [], False):
                click.echo(plain(f"  {name.replace('_', ' '):<14}{value}"))
    for note in notes:
        click.echo(plain(f"note: {note}"))


def _line(one: Document) -> str:
    what = " ".join(filter(None, (one["state"], "overdue" if one["overdue"] else "", *one["marks"])))
    told = f": {one['reason']}" if one["reason"] else ""
    parts = (one["received_at"], one["reference"], one["municipality"], one["sender"], one["information"] or "-")
    return "  ".join((*map(str, parts), what + told))


def _print_change(client: AdminClient, document: Document) -> None:
    print_answer(client, document, f"{document['reference']}  {document['state']}")
