"""`vkp-gateway explain`: which route decides for an imagined message, and why no other does."""

import asyncio
import sys
from datetime import UTC, datetime
from pathlib import Path

import click

from gateway.commands.admin_client import AdminClient, admin_client, plain, segment, where_options
from gateway.commands.messages import print_message
from gateway.commands.naming import find_municipality, find_sender
from gateway.commands.output import config_option, json_option, print_json, usable
from gateway.commands.request_file import read_request
from gateway.config.definitions import Config, Municipality
from gateway.faults import Failure
from gateway.identification import Identification
from gateway.model import Envelope, Information, Mode
from gateway.routing.explanation import Explanation
from gateway.routing.table import Decision, RouteTable
from gateway.translating import allowed_numbers
from translators.national_number import kind_of


def _dash_only(_context: click.Context, _option: click.Parameter, value: str | None) -> str | None:
    """Refuse a number given as an argument, where a list of processes shows it, and do not repeat it."""
    if value not in (None, "-"):
        raise click.BadParameter("only -: the number comes on standard input")
    return value


_TYPES = ", ".join(Information)


@click.command()
@click.option("--municipality", metavar="O", help="An orgnr or short name.")
@click.option("--sender", metavar="S", help="A vkp-id or HER-id.")
@click.option(
    "--information", metavar="I", type=click.Choice([str(each) for each in Information]), help=f"One of {_TYPES}."
)
@click.option("--patient", metavar="-", callback=_dash_only, help="Read the patient's number from standard input.")
@click.option(
    "--at",
    metavar="T",
    type=click.DateTime(["%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%dT%H:%M%z"]),
    help="When, as 2026-12-01T08:00+01:00; now if left out.",
)
@click.option(
    "--request",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A file with a whole HTTP request, in place of the three above.",
)
@click.option("--message", metavar="ID", help="A message by its reference, as a running gateway's ledger has it.")
@where_options
@config_option
@json_option
def explain(  # noqa: PLR0913 - the options of the command
    *,
    municipality: str | None,
    sender: str | None,
    information: str | None,
    patient: str | None,
    at: datetime | None,
    request: Path | None,
    message: str | None,
    admin: str | None,
    token_file: str | None,
    path: str,
    as_json: bool,
) -> None:
    """Say which route decides for a message, with every route that was considered."""
    if message is not None:
        if any(given is not None for given in (municipality, sender, information, patient, at, request)):
            raise click.UsageError("--message goes with nothing but --admin, --token-file and --json")
        _explain_message(admin_client(admin, token_file, as_json=as_json), message)
        return
    if (request is None) == (municipality is None and sender is None and information is None):
        raise click.UsageError("give either --request, or --municipality, --sender and --information")
    config, table = usable(path)
    if request is not None:
        envelope = _envelope_of_request(config, table, request)
    else:
        envelope = _envelope(config, table, municipality, sender, information)
    now = at or datetime.now(UTC)  # noqa: TID251 - the command's own clock
    notes = _notes(config, table, envelope, table.decide(envelope, now))
    if patient is not None:
        notes.append(_patient_note(config))
    decision, explanation = table.decide(envelope, now), table.explain(envelope, now)
    if as_json:
        _print_json(envelope, decision, explanation, notes)
    else:
        _print(envelope, decision, explanation, notes)


def _explain_message(client: AdminClient, reference: str) -> None:
    """Say what the ledger knows of a message, and where its route is told."""
    document = client.get(f"/api/v1/messages/{segment(reference)}")
    note = f"the route that decided is in the log event message with correlation_id {document['reference']}"
    if client.as_json:
        print_json({**document, "notes": [note]})
        return
    print_message(document)
    click.echo(plain(f"note: {note}"))


def _envelope(
    config: Config, table: RouteTable, orgnr_or_name: str | None, sender_id: str | None, information: str | None
) -> Envelope:
    municipality, sender = find_municipality(config, orgnr_or_name), find_sender(table, sender_id)
    return Envelope(
        surface="any",
        municipality=municipality.key if municipality else None,
        sender=sender.key if sender else None,
        vendor=sender.vendor if sender else None,
        system=sender.system if sender else None,
        information=Information(information) if information else None,
    )


def _envelope_of_request(config: Config, table: RouteTable, request: Path) -> Envelope:
    head, body = read_request(request)
    identification = Identification(table, config.limits.body)
    try:
        identified = asyncio.run(identification.identify(head, body))
    except Failure as failure:
        raise click.ClickException(f"no route decides, the gateway refuses this: {failure.diagnostics}") from None
    if not identified.is_served(config.unrecognised_paths):
        raise click.ClickException(
            "no route decides, the gateway refuses this: nothing is served at this address (404)"
        )
    if identified.operation is not None and identified.envelope.information is None and identified.content is None:
        content = asyncio.run(identification.read(body, identified))
        return identification.with_information(identified.envelope, content)
    return identified.envelope


def _notes(config: Config, table: RouteTable, envelope: Envelope, decision: Decision) -> list[str]:
    """Return what else decides about the message, beside its route."""
    municipality: Municipality | None = config.municipalities.get(envelope.municipality or "")
    notes = []
    if municipality is None:
        notes.append("the municipality is not in the file: VKP decides where it answers, otherwise 403 with code 1.4")
    sender = find_sender(table, envelope.sender)
    if sender is None:
        notes.append("the sender is not in the file: VKP decides where it answers, otherwise 403 with code 1.4")
    elif municipality and sender.municipalities is not None and municipality.key not in sender.municipalities:
        notes.append("the sender is not registered for this municipality: outside mode legacy 403 with code 1.4")
    if decision.mode is Mode.NEW and decision.upstream is None and envelope.information is not None:
        notes.append("retrieval from the information services is not supported yet: 400 with code 3")
    if decision.mode is None:
        notes.append("no route covers the message; `unrecognised` decides")
    return notes


def _patient_note(config: Config) -> str:
    kind = kind_of(sys.stdin.readline().strip())
    if kind is None:
        return "the patient's number is not valid: outside mode legacy 400 with code 2.1"
    if kind not in allowed_numbers(config):
        return f"the patient's number is of the series {kind}, not allowed here: outside mode legacy 400 with code 2.1"
    return f"the patient's number is of the series {kind}; no route depends on the patient"


def _print(envelope: Envelope, decision: Decision, explanation: Explanation, notes: list[str]) -> None:
    click.echo(f"municipality  {envelope.municipality or 'not known'}")
    click.echo(f"sender        {envelope.sender or 'not known'}")
    click.echo(f"information   {envelope.information or 'not known'}")
    click.echo(
        f"decision      {decision.mode or 'none'}" + (f", answered by {decision.upstream}" if decision.upstream else "")
    )
    for considered in explanation.considered:
        click.echo(f"  {'->' if considered.chosen else '  '} {considered.route.place} {considered.reason}")
    for note in notes:
        click.echo(f"note: {note}")


def _print_json(envelope: Envelope, decision: Decision, explanation: Explanation, notes: list[str]) -> None:
    print_json(
        {
            "municipality": envelope.municipality,
            "sender": envelope.sender,
            "information": envelope.information,
            "mode": decision.mode,
            "upstream": decision.upstream,
            "route": str(decision.route.place) if decision.route else None,
            "considered": [
                {"route": str(one.route.place), "chosen": one.chosen, "reason": one.reason}
                for one in explanation.considered
            ],
            "notes": notes,
        }
    )
