"""`vkp-gateway check`: everything that is wrong with a configuration, at once."""

import click

from gateway.commands.output import config_option, errors, json_option, print_json
from gateway.config.load import load


@click.command()
@config_option
@json_option
def check(path: str, *, as_json: bool) -> None:
    """Say everything that is wrong with a configuration; exit 1 if any of it is an error."""
    loaded = load(path)
    wrong = errors(loaded)
    if as_json:
        problems = [
            {
                "file": problem.place.file,
                "line": problem.place.line,
                "column": problem.place.column,
                "severity": problem.severity,
                "text": problem.text,
            }
            for problem in loaded.problems
        ]
        print_json({"ok": not wrong, "problems": problems})
    else:
        for problem in loaded.problems:
            click.echo(str(problem))
        warnings = len(loaded.problems) - len(wrong)
        click.echo(f"{path}: {len(wrong)} errors, {warnings} warnings")
    if wrong:
        raise click.exceptions.Exit(1)
