"""`vkp-gateway explain --message`: what a running gateway's ledger knows of a message. It is apart, since it asks one."""

import click

from gateway.cli.admin_client import AdminClient, Document, segment
from gateway.cli.messages import print_message
from gateway.cli.output import plain, print_json


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


def explain_message(given: AdminClient, reference: str) -> None:
    """Say what the ledger knows of a message, and what decided its way."""
    client = _Finder(given.url, given.token, given.as_json)
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
