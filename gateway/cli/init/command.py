"""`vkp-gateway init`: the files of a first installation of one's own; nothing is asked, and nothing is overwritten."""

import sys
from pathlib import Path

import click

from gateway.cli.keys import KeyMade, make_missing
from gateway.cli.options import json_option
from gateway.cli.output import print_json
from gateway.config.load import load
from gateway.config.model import KeyFiles
from gateway.counting import counted

CONFIGURATION, UNIT = "routes.yaml", "vkp-gateway.service"
MARK = "FILL IN:"
"""What stands at every place of the configuration that a person must fill in."""


@click.command()
@click.argument("folder", default=".", type=click.Path(file_okay=False, path_type=Path))
@json_option
def init(folder: Path, *, as_json: bool) -> None:
    """Write a small routes.yaml, the gateway's keys and a systemd unit; what exists is left as it is.

    FOLDER is where the gateway is to run, this folder if left out; it is made if it is not there. Exit 1 if a key cannot be
    made, or exists and cannot be used.
    """
    if not str(folder.absolute()).isprintable():
        raise click.UsageError("The folder's path has a letter that cannot be printed; choose another folder.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        made = {CONFIGURATION: _write(folder / CONFIGURATION, _template(CONFIGURATION))}
        keys = make_missing(_key_files(folder / CONFIGURATION), folder)
        made[UNIT] = _write(folder / UNIT, unit(folder.absolute()))
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise click.ClickException(f"{folder} cannot be written ({reason}); choose a folder that is yours.") from None
    _report(folder, made, keys, as_json=as_json)
    if any(one.state == "unusable" for one in keys):
        raise click.exceptions.Exit(1)


def unit(folder: Path) -> str:
    """Return the systemd unit of a gateway that runs in a folder, with the program that is running now."""
    program = Path(sys.executable).absolute().with_name("vkp-gateway")
    words = [str(program)] if program.is_file() else [sys.executable, "-m", "gateway"]
    values = {
        "@FOLDER@": str(folder).replace("%", "%%"),
        "@VAR@": _quoted(str(folder / "var")),
        "@PROGRAM@": " ".join(_quoted(word.replace("$", "$$")) for word in words),
    }
    text = _template(UNIT)
    for name, value in values.items():
        text = text.replace(name, value)
    return text


def _quoted(word: str) -> str:
    """Return a word as systemd reads it (systemd.syntax): % begins a specifier, and blanks end a word."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{escaped}"' if " " in word or "'" in word or escaped != word else word


def _template(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")


def _write(path: Path, text: str) -> str:
    """Write a file that is not there; return `made`, or `exists` where it is."""
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        return "exists"
    return "made"


def _key_files(path: Path) -> KeyFiles:
    """Return where the keys belong: where a configuration that is complete says so, else where they usually are."""
    config = load(str(path)).config
    return KeyFiles() if config is None else config.keys


def _report(folder: Path, made: dict[str, str], keys: list[KeyMade], *, as_json: bool) -> None:
    configuration = folder / CONFIGURATION
    left = configuration.read_text(encoding="utf-8", errors="replace").count(MARK)
    if as_json:
        files = [{"file": str(folder / name), "state": state} for name, state in made.items()]
        shown = [{"key": one.kind, "file": one.source, "state": one.state, "text": one.text} for one in keys]
        ok = all(one.state != "unusable" for one in keys)
        print_json({"ok": ok, "files": files, "keys": shown, "to_fill_in": left})
        return
    for name, state in made.items():
        click.echo(f"{name:<21}{state:<13}{folder / name}")
    for one in keys:
        click.echo(f"{one.kind + ' key':<21}{one.state:<13}{one.text}")
    click.echo("")
    if left:
        click.echo(f'Fill in the {counted(left, "place")} marked "{MARK.rstrip(":")}" in {configuration}, and then:')
    click.echo(f"  vkp-gateway check --config {configuration}")
    click.echo(f"  vkp-gateway serve --config {configuration}")
