"""`vkp-gateway reload`: have a running gateway read its configuration again. It is apart, since `serve` is a whole gateway."""

import click

from gateway.cli.admin_client import AdminClient, admin_options
from gateway.cli.options import reason_option
from gateway.cli.output import plain, print_json


@click.command()
@reason_option
@admin_options
def reload(*, client: AdminClient, reason: str) -> None:
    """Have routes.yaml read again; exit 1 where it is refused, with every error, and the running one stays."""
    document = client.post("/api/v1/reload", reason=reason)
    if client.as_json:
        print_json(document)
        return
    for warning in document["warnings"]:
        click.echo(plain(warning), err=True)
    click.echo(f"The configuration is in force, as generation {document['generation']}.")
