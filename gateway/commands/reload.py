"""`vkp-gateway reload`: a running gateway reads routes.yaml again."""

import click

from gateway.commands.admin_client import AdminClient, admin_options, plain
from gateway.commands.output import print_json


@click.command()
@click.option("--reason", required=True, help="Why, for the audit.")
@admin_options
def reload(*, client: AdminClient, reason: str) -> None:
    """Have routes.yaml read again; exit 1 where it is refused, with every error, and the running one stays."""
    document = client.post("/api/v1/reload", reason=reason)
    if client.as_json:
        print_json(document)
        return
    for warning in document["warnings"]:
        click.echo(plain(warning), err=True)
    click.echo(f"taken: table {document['generation']}")
