"""Finds what an operator names on the command line."""

import difflib

import click

from gateway.config.model import Config, Municipality, Sender
from gateway.routing.table import RouteTable


def find_municipality(config: Config, named: str | None) -> Municipality | None:
    """Return the municipality with this orgnr or short name; None for none given, and for an orgnr that no route knows.

    Raises `click.BadParameter` for a short name that is not in the file.
    """
    if named is None:
        return None
    if named in config.municipalities:
        return config.municipalities[named]
    by_orgnr = next((one for one in config.municipalities.values() if one.orgnr == named), None)
    if by_orgnr is None and not named.isdigit():
        near = difflib.get_close_matches(named, config.municipalities, n=1)
        hint = f' (did you mean "{near[0]}"?)' if near else ""
        raise click.BadParameter(f'no municipality "{named}" in {config.file}{hint}', param_hint="--municipality")
    return by_orgnr


def find_sender(table: RouteTable, named: str | None) -> Sender | None:
    """Return the sender with this vkp-id or HER-id; None for none given, and for one that is not registered."""
    if named is None:
        return None
    return table.sender_by_vkp_id(named) or table.sender_by_her_id(named)
