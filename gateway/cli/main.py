"""The command `vkp-gateway`. Exit 0: done; 1: the answer is no; 2: wrong use.

A command's module is imported when the command is asked for, so that the small ones begin at once.
"""

from collections.abc import Iterator, MutableMapping
from importlib import import_module
from typing import NamedTuple

import click
from click.shell_completion import CompletionItem


class Entry(NamedTuple):
    """Where a command is, and what the list of commands says of it."""

    module: str
    """Below `gateway.cli`."""
    attribute: str
    help: str
    """The beginning of the command's own help."""


COMMANDS = {
    "audit": Entry("inspect", "audit", "Look at the audit of a running gateway."),
    "check": Entry("check", "check", "Say everything that is wrong with a configuration."),
    "comparison": Entry(
        "comparison", "comparison", "Look at what comparisons of VKP's answers with the new side's have shown."
    ),
    "cutover": Entry(
        "cutover", "cutover", "Plan a change of cells, see whether it is ready, and apply it or take it back."
    ),
    "demo": Entry(
        "demo.command",
        "demo",
        "Start doubles of HelseID, VKP and JFT and a gateway on loopback, and send legacy traffic.",
    ),
    "doctor": Entry(
        "doctor.command", "doctor", "Test this installation, and say what to do about each thing that is wrong."
    ),
    "explain": Entry("explain", "explain", "Say which route decides for a message."),
    "forget": Entry("messages", "forget", "Forget a patient's messages that nothing waits for."),
    "init": Entry("init.command", "init", "Write a small routes.yaml, the gateway's keys and a systemd unit."),
    "keys": Entry("keys", "keys", "Make or rotate the gateway's own keys."),
    "ledger": Entry("ledger", "ledger", "Copy a ledger, and make one safe that was restored from a copy."),
    "messages": Entry("messages", "messages", "Look at messages in the ledger of a running gateway."),
    "override": Entry("overrides", "override", "Set the mode of cells for a while, over the routes of the file."),
    "panic": Entry(
        "overrides", "panic", "Send everything of one municipality, vendor or information type back to VKP, at once."
    ),
    "plan": Entry("plan", "plan", "Say which cells change mode from the configuration OLD to NEW."),
    "quarantine": Entry(
        "messages",
        "quarantine",
        "Decide about messages whose senders were told of success and that could not be delivered.",
    ),
    "reload": Entry("reload", "reload", "Have routes.yaml read again."),
    "replica": Entry(
        "replica", "replica", "Look at the local copies of patients and services, and have one made anew."
    ),
    "report": Entry("inspect", "report", "Say of each municipality, vendor and type how far it is."),
    "resend": Entry("messages", "resend", "Have a quarantined message delivered after all."),
    "rollback": Entry("rollback", "rollback", "Go back to VKP with nothing lost."),
    "routes": Entry("inspect", "routes", "List the routes that are in force."),
    "serve": Entry("serve", "serve", "Serve until SIGTERM."),
    "simulate": Entry("simulate", "simulate", "Play a migration of an invented country."),
    "translate": Entry("translate", "translate", "Translate one message."),
}


class _Commands(MutableMapping[str, click.Command]):
    """The commands by name; one is imported when it is taken out. What is put in lies over the table."""

    def __init__(self) -> None:
        self._imported: dict[str, click.Command] = {}

    def __getitem__(self, name: str) -> click.Command:
        if name not in self._imported:
            entry = COMMANDS[name]
            command = getattr(import_module(f"gateway.cli.{entry.module}"), entry.attribute)
            if not isinstance(command, click.Command):
                raise TypeError(f"{entry.module}.{entry.attribute} is no command")
            self._imported[name] = command
        return self._imported[name]

    def __contains__(self, name: object) -> bool:
        return name in self._imported or name in COMMANDS

    def __iter__(self) -> Iterator[str]:
        return iter({**COMMANDS, **self._imported})

    def __len__(self) -> int:
        return len({**COMMANDS, **self._imported})

    def __setitem__(self, name: str, command: click.Command) -> None:
        self._imported[name] = command

    def __delitem__(self, name: str) -> None:
        del self._imported[name]


class _LazyGroup(click.Group):
    """A group that lists its commands, and completes their names, without importing them."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.help) for name, entry in COMMANDS.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Return the commands and options that begin so."""
        names = (name for name in COMMANDS if name.startswith(incomplete))
        return [
            *(CompletionItem(name, help=COMMANDS[name].help) for name in names),
            *click.Command.shell_complete(self, ctx, incomplete),
        ]


@click.group(
    cls=_LazyGroup,
    commands=_Commands(),
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
)
@click.version_option(package_name="vkp-gateway")
def main() -> None:
    """Move municipalities from VKP to the information services that replace it, one route at a time."""
