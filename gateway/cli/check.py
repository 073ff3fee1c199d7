"""`vkp-gateway check`: everything that is wrong with a configuration, at once."""

from pathlib import Path

import click

from gateway.auth.helseid.client_assertion import KeyMissing, KeyUnusable
from gateway.auth.helseid.client_assertion import load as load_key
from gateway.cli.configuration import one_path
from gateway.cli.options import either_config_option, json_option
from gateway.cli.output import counted, print_json
from gateway.config.load import load
from gateway.config.model import Config, Problem, Severity
from gateway.config.upstreams import VkpUpstream
from gateway.proxy.certificate_files import DATA_PORT, CertificatesUnusable, needed


@click.command()
@click.argument("file", required=False)
@either_config_option
@json_option
def check(file: str | None, config: str | None, *, as_json: bool) -> None:
    """Say everything that is wrong with a configuration; exit 1 if any of it is an error.

    FILE is ./routes.yaml if left out.
    """
    path = one_path(file, config)
    loaded = load(path)
    folder = Path(path).parent
    found = [*loaded.problems, *_certificates(loaded.config, folder), *_client_keys(loaded.config, folder)]
    wrong = [problem for problem in found if problem.severity is Severity.ERROR]
    if as_json:
        problems = [
            {
                "file": problem.place.file,
                "line": problem.place.line,
                "column": problem.place.column,
                "severity": problem.severity,
                "text": problem.text,
            }
            for problem in found
        ]
        print_json({"ok": not wrong, "problems": problems})
    else:
        for problem in found:
            click.echo(str(problem))
        click.echo(f"{path}: {counted(len(wrong), 'error')}, {counted(len(found) - len(wrong), 'warning')}")
    if wrong:
        raise click.exceptions.Exit(1)


def _certificates(config: Config | None, folder: Path) -> list[Problem]:
    """Return what is wrong with certificates: an error if they could not be used, a warning if they are not here."""
    problems: list[Problem] = []
    if config is None:
        return problems
    for what, files, make in needed(config, folder):
        place = config.tls.place if what == DATA_PORT and config.tls else config.upstreams[what].place
        name = what if what == DATA_PORT else f"upstream {what}"
        missing = files.unreadable()
        for file in missing:
            text = f"{name}: {file} cannot be read here; serve and reload need it"
            problems.append(Problem(place, Severity.WARNING, text))
        if not missing:
            try:
                make(files.read())
            except CertificatesUnusable as error:
                problems.append(Problem(place, Severity.ERROR, f"{name}: its certificates cannot be used: {error}"))
    return problems


def _client_keys(config: Config | None, folder: Path) -> list[Problem]:
    """Return the keys of HelseID clients that HelseID would not take; one that is not here may be where the file is used."""
    if config is None:
        return []
    keys = [(config.helseid.key_file, config.helseid.place)]
    legacy = [each for each in config.upstreams.values() if isinstance(each, VkpUpstream)]
    keys += [(client.key_file, client.place) for each in legacy for client in each.clients]
    if config.people is not None:
        keys.append((config.people.client.key_file, config.people.client.place))
    problems: list[Problem] = []
    for key_file, place in keys:
        try:
            load_key(key_file, folder)
        except KeyMissing:
            continue
        except KeyUnusable as error:
            problems.append(Problem(place, Severity.ERROR, f"the client key cannot be used: {error}"))
    return problems
