"""`messages`, `resend`, `quarantine`, `forget`, `audit` and `explain --message` against a running admin port."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import text

from gateway.auth.people.api_tokens import TokenRequest
from gateway.cli.main import main
from gateway.ledger.shares import NewShare
from tests.gateway.admin.conftest import office, olga, open_office, shelf
from tests.gateway.admin.shelf import OTHER_PATIENT, PATIENT, holds_nothing

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from tests.gateway.admin.shelf import Shelf
    from tests.gateway.office import Office

    Ask = Callable[..., Awaitable[Result]]

__all__ = ["office", "olga", "open_office", "shelf"]
WHY = ("--reason", "Ringt avsender")


async def token(office: Office, *roles: str, municipalities: list[str] | None = None) -> str:
    """Make an API token; the file that it is in."""
    assert office.port.authenticator.auth is not None
    wanted = TokenRequest("tool", list(roles), 1, municipalities)
    _, secret = await office.port.authenticator.auth.tokens.make(wanted, ("olga",), in_dev=False)
    path = office.folder / f"token-{'-'.join(roles)}"
    path.write_text(secret + "\n")
    path.chmod(0o600)
    return str(path)


@pytest.fixture
async def ask(office: Office, shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> Ask:
    """Run a command as an operator and viewer."""
    del shelf
    monkeypatch.setenv("VKP_GATEWAY_ADMIN", office.address)
    monkeypatch.setenv("VKP_GATEWAY_TOKEN_FILE", await token(office, "operator", "viewer"))

    async def asked(*arguments: str, stdin: str | None = None) -> Result:
        result = await asyncio.to_thread(CliRunner().invoke, main, arguments, input=stdin)
        assert holds_nothing(result.output)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result

    return asked


async def document(ask: Ask, *arguments: str, **options: Any) -> Any:
    """Return what a command prints as JSON."""
    result = await ask(*arguments, "--json", **options)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


async def test_messages_are_listed(ask: Ask, shelf: Shelf) -> None:
    """A line for each, narrowed by options; the rest with the cursor that is printed."""
    await shelf.delivered("one", overdue=True)
    await shelf.quarantined("two", municipality="sorvik")
    result = await ask("messages", "list")
    assert result.exit_code == 0
    assert [line.split()[1] for line in result.stdout.splitlines()] == ["two", "one"]
    assert result.stdout.splitlines()[1].endswith("varsel  delivered overdue")
    assert result.stdout.splitlines()[0].endswith("varsel  quarantined: unclear")
    for options, found in (
        (("--overdue",), ["one"]),
        (("--municipality", "313231593"), ["two"]),
        (("--state", "delivered"), ["one"]),
        (("--since", "2020-01-01T00:00+01:00", "--until", "2020-01-02T00:00:00+01:00"), []),
        (("--mark", "identifier-reused"), []),
    ):
        page = await document(ask, "messages", "list", *options)
        assert [one["reference"] for one in page["messages"]] == found
    first = await ask("messages", "list", "--limit", "1")
    cursor = first.stdout.splitlines()[-1].removeprefix("more: --cursor ")
    page = await document(ask, "messages", "list", "--cursor", cursor)
    assert [one["reference"] for one in page["messages"]] == ["one"]


async def test_message_is_shown_with_its_history(ask: Ask, shelf: Shelf) -> None:
    """By its reference; exit 1 where there is none."""
    await shelf.quarantined("one")
    result = await ask("messages", "show", "one")
    assert result.exit_code == 0
    assert "state         quarantined" in result.stdout
    assert "  2026-05-28T20:26:40.000+00:00 node-a quarantined unclear" in result.stdout
    assert (await document(ask, "messages", "show", "one"))["state"] == "quarantined"
    missing = await ask("messages", "show", "../none?x")
    wanted = "Error: not-found: this gateway has nothing of that name, or this token may not see it.\n"
    assert (missing.exit_code, missing.stderr) == (1, wanted)


async def test_explain_tells_what_the_ledger_knows(ask: Ask, shelf: Shelf) -> None:
    """And that the route is in the log."""
    await shelf.quarantined("one")
    result = await ask("explain", "--message", "one")
    assert result.exit_code == 0
    assert "node-a quarantined unclear" in result.stdout
    assert "log event message with correlation_id one" in result.stdout.splitlines()[-1]
    found = await document(ask, "explain", "--message", "one")
    assert (found["state"], len(found["history"]), len(found["notes"])) == ("quarantined", 3, 1)
    assert (await ask("explain", "--message", "two")).exit_code == 1
    assert (await ask("explain", "--message", "one", "--municipality", "nordfjell")).exit_code == 2


async def test_search_takes_the_number_from_standard_input(ask: Ask, shelf: Shelf) -> None:
    """It is never an argument; what is no number is wrong use."""
    await shelf.delivered("one")
    await shelf.delivered("two", patient=OTHER_PATIENT)
    page = await document(ask, "messages", "search", stdin=f"{PATIENT}\n")
    assert [one["reference"] for one in page["messages"]] == ["one"]
    page = await document(ask, "messages", "search", "--overdue", "--since", "2020-01-01T00:00+01:00", stdin=PATIENT)
    assert page["messages"] == []
    for wrong in ("", "\n", "12834010061\n"):
        assert (await ask("messages", "search", stdin=wrong)).exit_code == 2
    assert "12834010061" not in str(await shelf.audited())


@pytest.mark.parametrize(
    ("command", "state", "action"),
    [
        (("resend",), "held", "message.resend"),
        (("quarantine", "release"), "held", "quarantine.release"),
        (("quarantine", "discard"), "discarded", "quarantine.discard"),
    ],
)
async def test_quarantined_message_is_decided_about(
    ask: Ask, shelf: Shelf, command: tuple[str, ...], state: str, action: str
) -> None:
    """Exit 0 once; the second time exit 1, and why."""
    await shelf.quarantined("one")
    assert (await ask(*command, "one")).exit_code == 2
    result = await ask(*command, "one", *WHY)
    assert (result.exit_code, result.stdout) == (0, f"one  {state}\n")
    assert (await shelf.row("one")).state == state
    result = await ask(*command, "one", *WHY)
    wanted = f"Error: conflict: the message is {state}, not quarantined; look at it as it is now.\n"
    assert (result.exit_code, result.stderr) == (1, wanted)
    result = await ask(*command, "one", *WHY, "--json")
    assert (result.exit_code, json.loads(result.stdout)["code"]) == (1, "conflict")
    assert [(note.action, note.reason) for note in await shelf.audited()] == [(action, WHY[1])]


async def test_quarantine_is_listed(ask: Ask, shelf: Shelf) -> None:
    """And nothing else."""
    await shelf.delivered("one")
    await shelf.quarantined("two")
    assert [line.split()[1] for line in (await ask("quarantine", "list")).stdout.splitlines()] == ["two"]
    assert (await document(ask, "quarantine", "list", "--municipality", "sorvik"))["messages"] == []


async def test_patient_is_forgotten(ask: Ask, shelf: Shelf) -> None:
    """Exit 0 when nothing is left, 1 with what is."""
    await shelf.delivered("one", share=NewShare("pmd", b"sealed"))
    await shelf.quarantined("two")
    result = await ask("forget", *WHY, stdin=f"{PATIENT}\n")
    told = "forgotten  1\nnot shared 1\nleft       two  nordfjell  quarantined\n"
    assert (result.exit_code, result.stdout) == (1, told)
    await ask("quarantine", "discard", "two", *WHY)
    assert (await document(ask, "forget", *WHY, stdin=f"{PATIENT}\n")) == {
        "forgotten": 1,
        "not_shared": 0,
        "left": [],
    }
    assert (await ask("forget", *WHY, stdin="")).exit_code == 2


async def test_reason_with_a_number_is_wrong_use(ask: Ask, shelf: Shelf) -> None:
    """It is not repeated either."""
    await shelf.quarantined("one")
    result = await ask("resend", "one", "--reason", f"om {PATIENT}")
    wanted = "Error: bad-request: reason: without national identity numbers; correct that and try again.\n"
    assert (result.exit_code, result.stderr) == (2, wanted)


async def test_audit_is_verified_against_a_head_that_was_kept(ask: Ask, shelf: Shelf, tmp_path: Path) -> None:
    """Exit 1 when it does not go on from it, 2 for what is no head."""
    await shelf.quarantined("one")
    await ask("quarantine", "discard", "one", *WHY)
    file = tmp_path / "head.json"
    file.write_text((await ask("audit", "head")).stdout)
    assert (await ask("audit", "verify", "--head", str(file))).exit_code == 0
    file.write_text(file.read_text().replace('"id": 1', '"id": 2'))
    found = await ask("audit", "verify", "--head", str(file))
    wanted = "it was not signed with keys.lookup of this gateway, or was changed"
    assert (found.exit_code, found.stdout) == (1, f"The audit does not go on from that head: {wanted}.\n")
    file.write_text("[]")
    assert (await ask("audit", "verify", "--head", str(file))).exit_code == 2


async def test_audit_is_listed_and_verified(ask: Ask, shelf: Shelf) -> None:
    """Exit 1 when the chain is broken."""
    none = await ask("audit", "verify")
    wanted = "The audit has no entries: none was written yet, or all were removed.\n"
    assert (none.exit_code, none.stdout) == (1, wanted)
    for reference in ("one", "two"):
        await shelf.quarantined(reference)
        await ask("quarantine", "discard", reference, *WHY)
    result = await ask("audit", "list", "--limit", "1")
    line, more = result.stdout.splitlines()
    assert line.startswith("2  2026-05-28T20:26:40Z  ")
    assert line.endswith("quarantine.discard  two  Ringt avsender")
    rest = await document(ask, "audit", "list", "--cursor", more.removeprefix("more: --cursor "))
    assert [one["target"] for one in rest["entries"]] == ["one"]
    assert (await ask("audit", "verify")).stdout.startswith("The audit is whole, up to entry 2, ")
    await shelf.ledger.store.write(
        lambda each: each.execute(text("UPDATE audit SET actor = 'x' WHERE id = 1")).rowcount
    )
    broken = await ask("audit", "verify")
    assert (broken.exit_code, broken.stdout) == (
        1,
        "The audit is broken at entry 1: it was changed, put in or removed.\n",
    )
    broken = await ask("audit", "verify", "--json")
    assert (broken.exit_code, json.loads(broken.stdout)["broken_at"]) == (1, 1)


async def test_refused_token_says_so(ask: Ask, shelf: Shelf, office: Office) -> None:
    """Another role, and no token of this gateway; the token is in no output."""
    await shelf.quarantined("one")
    viewer = await token(office, "viewer")
    result = await ask("resend", "one", *WHY, "--token-file", viewer)
    wanted = "Error: forbidden: operate somewhere; the roles of this token do not allow it.\n"
    assert (result.exit_code, result.stderr) == (1, wanted)
    strange = office.folder / "strange"
    strange.write_text("vkpgw_strange")
    strange.chmod(0o600)
    result = await ask("messages", "list", "--token-file", str(strange))
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: token-refused: this gateway does not know the token, ")


async def test_what_others_wrote_does_not_steer_the_terminal(ask: Ask, shelf: Shelf) -> None:
    """Nothing of the ledger reaches it but what can be printed."""
    message = await shelf.message("one")
    await shelf.ledger.quarantined(message, "bad \x1b[2J\r\nanswer")
    for command in (("messages", "list"), ("messages", "show", "one"), ("explain", "--message", "one")):
        result = await ask(*command)
        assert "\x1b" not in result.stdout
        assert "\r" not in result.stdout
        assert "bad  [2J  answer" in result.stdout
