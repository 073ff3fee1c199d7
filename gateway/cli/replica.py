"""`vkp-gateway replica`: the local copies of patients and services that a running gateway answers from."""

from collections.abc import Iterator
from typing import Any

import click

from gateway.cli.admin_client import AdminClient, admin_options, print_answer, segment
from gateway.cli.options import municipality_option, reason_option
from gateway.cli.output import print_json, print_lines
from gateway.counting import counted

_PATH = "/api/v1/replica"
_STATES = {
    "answers": "answers",
    "old": "TOO OLD, answers nothing",
    "first": "is made for the first time, answers nothing yet",
}


@click.group()
def replica() -> None:
    """Look at the local copies of patients and services, and have one made anew."""


@replica.command()
@municipality_option
@admin_options
def status(*, client: AdminClient, municipality: str | None) -> None:
    """Say of each copy how old it is, and how far the next one has come; exit 1 where one answers nothing."""
    document = client.whole(_PATH, "copies", municipality=municipality)
    if client.as_json:
        print_json(document)
    else:
        lines = [line for one in document["copies"] for line in _lines(one)]
        print_lines(lines, str, "There is no copy: no municipality has pit in epj.feeds, or none was begun yet.")
    if any(one["state"] != "answers" for one in document["copies"]):
        raise click.exceptions.Exit(1)


@replica.command()
@click.argument("municipality")
@click.option(
    "--from-nothing", is_flag=True, help="Answer nothing until the new copy is whole, and compare it with nothing."
)
@reason_option
@admin_options
def rebuild(*, client: AdminClient, municipality: str, from_nothing: bool, reason: str) -> None:
    """Have everything of a municipality's patients read anew; what there is answers meanwhile."""
    path = f"{_PATH}/{segment(municipality)}/rebuild"
    document = client.post(path, reason=reason, from_nothing=from_nothing)
    made = f"{document['municipality']}: generation {document['generation']} is being made; see replica status"
    print_answer(client, document, made)


def _lines(one: dict[str, Any]) -> Iterator[str]:
    age = "" if one["age"] is None else f", {one['age']} s old"
    yield f"{one['municipality']}  {one['source']}  {_STATES[one['state']]}{age}, {counted(one['patients'], 'patient')}"
    if (made := one["making"]) is not None:
        to = f", read to {made['read_to']}" if made["read_to"] else ""
        done = f"{counted(made['patients'], 'patient')} in {counted(made['pages'], 'page')}"
        yield f"    generation {made['generation']} is made since {made['began_at']}: {done}{to}"
    if one["failures"]:
        yield f"    failed {counted(one['failures'], 'time')} in a row, at {one['failed_at']}: {one['failure']}"
