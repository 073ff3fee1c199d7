"""`vkp-gateway explain`: which route decides for an imagined message, and why no other does."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gateway.cli.configuration import find_municipality, find_sender, sqlite_file, usable
from gateway.cli.options import TIME, config_option, json_option, where_options
from gateway.cli.output import print_json
from gateway.config.directory import envelope_of
from gateway.config.model import Config, Municipality
from gateway.counting import counted
from gateway.errors import StartupError
from gateway.ledger.key_files import read_single
from gateway.migration.schedule import shown
from gateway.model import Envelope, Information, Mode
from gateway.routing.explain import Explanation
from gateway.routing.table import Decision, RouteTable

if TYPE_CHECKING:
    # Imported where they are needed: the ledger's libraries take longer to begin than all the rest.
    from gateway.cli.explain_run_time import PlannedChange, RunTime


def _dash_only(_context: click.Context, _option: click.Parameter, value: str | None) -> str | None:
    """Refuse a number given as an argument, where a list of processes shows it, and do not repeat it."""
    if value not in (None, "-"):
        raise click.BadParameter("give --patient -, and the number on standard input.")
    return value


_TYPES = ", ".join(Information)


@click.command()
@click.option("--municipality", metavar="NAME|ORGNR", help="An orgnr or short name.")
@click.option("--sender", metavar="ID", help="A vkp-id or HER-id.")
@click.option(
    "--information", metavar="TYPE", type=click.Choice([str(each) for each in Information]), help=f"One of {_TYPES}."
)
@click.option("--patient", metavar="-", callback=_dash_only, help="Read the patient's number from standard input.")
@click.option(
    "--at",
    metavar="TIME",
    type=TIME,
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
    asked = (municipality, sender, information, patient, at, request)
    if message is not None:
        if any(given is not None for given in asked):
            raise click.UsageError("--message goes with nothing but --admin, --token-file and --json.")
        _explain_message(message, admin, token_file, as_json=as_json)
        return
    if (request is None) == (municipality is None and sender is None and information is None):
        raise click.UsageError(
            "Give --request FILE, or at least one of --municipality, --sender and --information, or --message ID."
        )
    config, of_file = usable(path)
    now = datetime.now(UTC)  # noqa: TID251 - the command's own clock
    when = at or now
    known, notes = _known(config, Path(path).parent, when, now)
    table = of_file if known is None else of_file.with_layers(known.layers)
    key = _canary_key(config, Path(path).parent)
    if request is not None:
        envelope, content_notes = _envelope_of_request(config, table, request, key, when)
        notes += content_notes
    else:
        envelope = _envelope(config, municipality, sender, information)
    patient_notes: list[str] = []
    if patient is not None:
        envelope, patient_notes = _with_patient(config, envelope, key)
    decision, explanation = table.decide(envelope, when), table.explain(envelope, when)
    planned = [] if known is None else known.changes(of_file, envelope, when)
    notes += [*_notes(config, envelope, decision), *patient_notes]
    notes += [*_canary_notes(decision, envelope, key, known), *map(_planned_note, planned)]
    if as_json:
        _print_json(envelope, decision, explanation, planned, notes)
    else:
        _print(envelope, decision, explanation, notes)


def _explain_message(reference: str, admin: str | None, token_file: str | None, *, as_json: bool) -> None:
    from gateway.cli.admin_client import admin_client  # noqa: PLC0415 - for this way of asking alone
    from gateway.cli.messages import explain_message  # noqa: PLC0415 - likewise

    explain_message(admin_client(admin, token_file, as_json=as_json), reference)


def _envelope_of_request(
    config: Config, table: RouteTable, request: Path, key: bytes | None, when: datetime
) -> tuple[Envelope, list[str]]:
    from gateway.cli.explain_request import envelope_of_request  # noqa: PLC0415 - for this way of asking alone

    return envelope_of_request(config, table, request, key, when)


def _with_patient(config: Config, envelope: Envelope, key: bytes | None) -> tuple[Envelope, list[str]]:
    from gateway.cli.explain_request import with_patient  # noqa: PLC0415 - for this way of asking alone

    return with_patient(config, envelope, key)


def _known(config: Config, folder: Path, when: datetime, now: datetime) -> "tuple[RunTime | None, list[str]]":
    """Return what people have set and planned, None where that is nothing, and what is to be said of how it is known."""
    notes = []
    if when < now:
        notes.append(
            "that time is past: this is by the file as it is now, and by what is known now of overrides then; "
            "explain --message has what decided about a message"
        )
    file = sqlite_file(config.store, folder)
    if file is not None and not file.exists() and not config.cutovers:
        return None, notes
    from gateway.cli.explain_run_time import run_time  # noqa: PLC0415 - seldom needed, and slow to begin
    from gateway.cli.ledger_reader import Unreadable  # noqa: PLC0415 - likewise

    try:
        return run_time(config, folder, when, now), notes
    except Unreadable as error:
        told = f"the ledger cannot be read here, {error}: what people have set or planned at run time is not looked at"
        return None, [*notes, told]


def _envelope(config: Config, orgnr_or_name: str | None, sender_id: str | None, information: str | None) -> Envelope:
    municipality, sender = find_municipality(config, orgnr_or_name), find_sender(config, sender_id)
    return envelope_of("any", municipality, sender, Information(information) if information else None)


def _notes(config: Config, envelope: Envelope, decision: Decision) -> list[str]:
    """Return what else decides about the message, beside its route."""
    municipality: Municipality | None = config.municipalities.get(envelope.municipality or "")
    notes = []
    if municipality is None:
        notes.append("the municipality is not in the file: VKP decides where it answers, otherwise 403 with code 1.4")
    sender = find_sender(config, envelope.sender)
    if sender is None:
        notes.append("the sender is not in the file: VKP decides where it answers, otherwise 403 with code 1.4")
    elif municipality and not sender.serves(municipality.key):
        notes.append("the sender is not registered for this municipality: outside mode legacy 403 with code 1.4")
    if decision.mode in {Mode.NEW, Mode.EPJ} and decision.upstream is None and envelope.information is not None:
        notes.append("nobody answers for this information type yet: 400 with code 3")
    if decision.mode is None:
        notes.append("no route covers the message; `unrecognised` decides")
    return notes


def _canary_key(config: Config, folder: Path) -> bytes | None:
    """Return what shares are counted with; None where it is not here, or not for whoever asks."""
    try:
        return read_single(config.keys.canary, folder).secret
    except StartupError:
        return None


def _canary_notes(decision: Decision, envelope: Envelope, key: bytes | None, known: "RunTime | None") -> list[str]:
    route = decision.route
    if not decision.is_canary or route is None:
        return []
    if envelope.sender in route.never:
        return ["a canary decides, and takes nothing over of this sender"]
    share = 1.0 if envelope.sender in route.always else route.share or 0.0
    told = f"a canary decides: it takes over {share:.4g} of the patients"
    if key is not None and known is not None and known.has_other_key(key):
        return [f"{told}; the canary key here is not the one that this ledger's canaries divide patients by"]
    if envelope.share is not None:
        return [told]
    why = "no usable number is known" if key is not None else "the canary key cannot be read here"
    return [f"{told}; {why}, so where the patient stands is not known"]


def _planned_note(change: "PlannedChange") -> str:
    """Say what a planned cutover would make of the message's way."""
    cutover, decision = change.cutover, change.decision
    lacking = f", {counted(cutover.lacking, 'approval')} missing" if cutover.lacking else ""
    mode = "canary" if decision.is_canary else decision.mode or "no route"
    by = f"{decision.layer} {decision.rule}" if decision.rule is not None else "a route of the file"
    return (
        f"cutover {cutover.name} is to switch this cell at {shown(cutover.at)} ({cutover.state}{lacking}): "
        f"{mode} would decide then, by {by}"
    )


def _print(envelope: Envelope, decision: Decision, explanation: Explanation, notes: list[str]) -> None:
    click.echo(f"municipality  {envelope.municipality or 'not known'}")
    click.echo(f"sender        {envelope.sender or 'not known'}")
    click.echo(f"information   {envelope.information or 'not known'}")
    click.echo(
        f"decision      {decision.mode or 'none'}" + (f", answered by {decision.upstream}" if decision.upstream else "")
    )
    named = f" {decision.rule}" if decision.rule is not None else ""
    click.echo(f"decided by    {decision.layer if decision.route else 'nothing'}{named}")
    for considered in explanation.considered:
        click.echo(f"  {'->' if considered.chosen else '  '} {considered.route.place} {considered.reason}")
    for note in notes:
        click.echo(f"note: {note}")


def _print_json(
    envelope: Envelope, decision: Decision, explanation: Explanation, planned: "list[PlannedChange]", notes: list[str]
) -> None:
    print_json(
        {
            "municipality": envelope.municipality,
            "sender": envelope.sender,
            "information": envelope.information,
            "mode": decision.mode,
            "canary": decision.is_canary,
            "layer": decision.layer if decision.route else None,
            "rule": decision.rule,
            "upstream": decision.upstream,
            "route": str(decision.route.place) if decision.route else None,
            "considered": [
                {"route": str(one.route.place), "chosen": one.chosen, "reason": one.reason}
                for one in explanation.considered
            ],
            "planned": [_planned(change) for change in planned],
            "notes": notes,
        }
    )


def _planned(change: "PlannedChange") -> dict[str, object]:
    cutover, decision = change.cutover, change.decision
    return {
        "cutover": cutover.name,
        "at": cutover.at.isoformat(),
        "state": cutover.state,
        "approvals_missing": cutover.lacking,
        "mode": decision.mode,
        "canary": decision.is_canary,
        "layer": decision.layer if decision.route else None,
        "rule": decision.rule,
        "upstream": decision.upstream,
    }
