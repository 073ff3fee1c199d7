"""`vkp-gateway cutover`: named, scheduled changes of cells: submitted, looked at, approved, started, called off, rolled back."""

from typing import Any

import click

from gateway.cli.admin_client import AdminClient, Document, admin_options, print_answer, print_list, segment
from gateway.cli.options import cursor_option, limit_option, reason_option
from gateway.migration.cutover import CutoverState

_ROOT = "/api/v1/cutovers"
_FOR_PEOPLE = "An approval is a person's: log in to the admin port and approve there; no API token ever is an approver."
_name = click.argument("name")


@click.group()
def cutover() -> None:
    """Plan a change of cells, see whether it is ready, and apply it or take it back."""


@cutover.command("list")
@click.option("--state", type=click.Choice([each.value for each in CutoverState]))
@limit_option()
@cursor_option
@admin_options
def list_cutovers(*, client: AdminClient, **filters: Any) -> None:
    """List cutovers by their names."""
    none = "There is no cutover; vkp-gateway cutover submit NAME submits one that routes.yaml plans."
    if filters["state"] is not None:
        none = f"No cutover is {filters['state']}."
    print_list(client, client.get(_ROOT, **filters), "cutovers", _line, none)


@cutover.command()
@_name
@admin_options
def show(*, client: AdminClient, name: str) -> None:
    """Show a cutover with its plan, its hash, and what has happened to it."""
    _print(client, client.get(f"{_ROOT}/{segment(name)}"), is_whole=True)


@cutover.command()
@_name
@admin_options
def submit(*, client: AdminClient, name: str) -> None:
    """Submit a plan that the gateway's routes.yaml has; whoever made the API token is its maker, and never approves it."""
    _print(client, client.post(_ROOT, from_file=name))


@cutover.command()
@_name
@admin_options
def preflight(*, client: AdminClient, name: str) -> None:
    """Say whether a cutover is ready, and why not; exit 1 if it is not."""
    document = client.post(f"{_ROOT}/{segment(name)}/preflight")
    findings = [f"{_mark(one):<4}{one['check']:<18}{one['text']}" for one in document["findings"]]
    print_answer(client, document, *findings, "ready" if document["ready"] else "not ready")
    if not document["ready"]:
        raise click.exceptions.Exit(1)


@cutover.command()
@_name
@click.option("--hash", "plan_hash", required=True, metavar="HASH", help="Of exactly which plan, as `show` prints it.")
@admin_options
def approve(*, client: AdminClient, name: str, plan_hash: str) -> None:
    """Ask for an approval. Only a person who is logged in can give it, so an API token is told so, with exit 1."""
    try:
        document = client.post(f"{_ROOT}/{segment(name)}/approve", hash=plan_hash)
    except click.exceptions.Exit:
        click.echo(_FOR_PEOPLE, err=True)
        raise
    _print(client, document)


def _steering(action: str, told: str) -> click.Command:
    """Return a command that asks for one action with a reason."""

    def asked(*, client: AdminClient, name: str, reason: str) -> None:
        _print(client, client.post(f"{_ROOT}/{segment(name)}/{action}", reason=reason))

    return click.command(action, help=told)(_name(reason_option(admin_options(asked))))


@cutover.command()
@_name
@click.option(
    "--at", required=True, metavar="TIME", help="With its offset, or a time in Norway without: 2026-12-01T06:00."
)
@reason_option
@admin_options
def postpone(*, client: AdminClient, name: str, at: str, reason: str) -> None:
    """Give a cutover another time; that is another plan, so approvals of the one that was there are void."""
    _print(client, client.post(f"{_ROOT}/{segment(name)}/postpone", at=at, reason=reason))


cutover.add_command(_steering("start", "Apply an approved or a missed cutover now, if its gate still says yes."))
cutover.add_command(_steering("cancel", "Call off a cutover that has not switched."))
cutover.add_command(_steering("rollback", "Take a cutover back: its cells go where they went before."))


def _mark(finding: Document) -> str:
    if not finding["ok"]:
        return "no"
    return "!" if finding["warns"] else "ok"


def _line(one: Document) -> str:
    return f"{one['name']}  {one['state']}  {one['at_oslo']}"


def _print(client: AdminClient, document: Document, *, is_whole: bool = False) -> None:
    approvals = f"{len(document['approvals'])}, {document['approvals_missing']} missing"
    told = {name: document[name] for name in ("name", "state", "hash")}
    told |= {"at": document["at_oslo"], "approvals": approvals}
    lines = [f"{name:<10}{value}" for name, value in told.items()]
    lines += [f"next      {command}" for command in (document["report"] or {}).get("send_back", ())]
    for step in document["history"] if is_whole else ():
        words = (step["at"], step["node"], step["what"], step["by"], step["reason"])
        lines.append("  " + " ".join(word for word in words if word))
    print_answer(client, document, *lines)
