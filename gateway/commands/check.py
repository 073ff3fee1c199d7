"""`vkp-gateway check`: everything that is wrong with a configuration, at once."""

import os
from pathlib import Path

import click

from gateway.commands.output import config_option, errors, json_option, print_json
from gateway.config.definitions import Config, Problem, Severity, VkpUpstream
from gateway.config.load import load


@click.command()
@config_option
@json_option
def check(path: str, *, as_json: bool) -> None:
    """Say everything that is wrong with a configuration; exit 1 if any of it is an error."""
    loaded = load(path)
    wrong = errors(loaded)
    found = [*loaded.problems, *_unreadable(loaded.config, Path(path).parent)]
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
        click.echo(f"{path}: {len(wrong)} errors, {len(found) - len(wrong)} warnings")
    if wrong:
        raise click.exceptions.Exit(1)


def _unreadable(config: Config | None, folder: Path) -> list[Problem]:
    """Return a warning for each certificate that `serve` would need here and that cannot be read."""
    problems = []
    for upstream in config.upstreams.values() if config else ():
        if isinstance(upstream, VkpUpstream):
            for file in (upstream.tls.ca_file, upstream.tls.cert_file, upstream.tls.key_file):
                if file is not None and not os.access(folder / file, os.R_OK):
                    text = f"upstream {upstream.name}: {file} cannot be read here; serve and reload need it"
                    problems.append(Problem(upstream.place, Severity.WARNING, text))
    return problems
