"""`explain` names the route that decides and why no other does, for an imagined message or a whole request."""

from __future__ import annotations

import asyncio
import base64
import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web  # noqa: TID251 - a server that stands for an admin port
from click.testing import CliRunner

from gateway.cli.main import main
from tests.gateway.cli.conftest import HEAD
from tests.gateway.world import message, stu3_message
from tests.ports import free_ports

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from click.testing import Result

Run = "Callable[..., Result]"


def explained(run: Callable[..., Result], *arguments: object, **options: Any) -> dict[str, Any]:
    """Return the answer as JSON."""
    result = run("explain", "--json", *arguments, **options)
    assert result.exit_code == 0, result.output
    document: dict[str, Any] = json.loads(result.stdout)
    return document


@pytest.mark.parametrize(
    ("arguments", "decided"),
    [
        (["--municipality", "nordfjell"], ("legacy", "vkp")),
        (["--municipality", "312229544", "--information", "varsel"], ("legacy", "vkp")),
        (["--municipality", "havnes", "--information", "varsel"], ("new", "jft")),
        (["--municipality", "havnes", "--information", "diagnoser"], ("closed", None)),
        (["--municipality", "999999999"], ("legacy", "vkp")),
        (["--sender", "Evondos_Nordfjell"], ("legacy", "vkp")),
        (["--information", "notat"], ("legacy", "vkp")),
        (
            ["--municipality", "nordfjell", "--sender", "Evondos_Nordfjell", "--information", "medisinering"],
            ("new", "jft"),
        ),
        (["--municipality", "havnes", "--sender", "135233", "--information", "varsel"], ("new", "jft")),
    ],
    ids=str,
)
def test_imagined_message_gets_its_decision(
    run: Callable[..., Result], arguments: list[str], decided: tuple[str, str | None]
) -> None:
    """By short name, orgnr, vkp-id and HER-id, together or alone; one route is chosen and every one considered."""
    document = explained(run, *arguments)
    assert (document["mode"], document["upstream"]) == decided
    assert document.keys() == {
        *("municipality", "sender", "information", "mode", "canary", "layer", "rule", "upstream", "route"),
        *("considered", "planned", "notes"),
    }
    assert (document["layer"], document["rule"], document["canary"]) == ("routes", None, False)
    chosen = [one["route"] for one in document["considered"] if one["chosen"]]
    assert chosen == [document["route"]]
    assert len(document["considered"]) == 7
    assert all(one["reason"] for one in document["considered"])


def test_text_shows_routes_with_their_places(run: Callable[..., Result], routes_file: Path) -> None:
    """A person sees the decision, the chosen route and the reasons."""
    result = run("explain", "--municipality", "havnes", "--sender", "Dignio_Havnes", "--information", "varsel")
    assert result.exit_code == 0
    assert "decision      new, answered by jft" in result.output
    assert f"-> {routes_file}:" in result.output
    assert "names another municipality" in result.output


def test_notes_say_what_else_decides(run: Callable[..., Result]) -> None:
    """Access is told beside the route."""
    unknown = " ".join(explained(run, "--municipality", "999999999", "--sender", "Nobody")["notes"])
    assert "municipality is not in the file" in unknown
    assert "sender is not in the file" in unknown
    assert "1.4" in " ".join(explained(run, "--municipality", "nordfjell", "--sender", "Dignio_Havnes")["notes"])


@pytest.mark.parametrize(
    ("number", "says"),
    [
        ("12834010060", "plus-80"),
        ("12834010061", "not valid"),
        ("13116900216", "ordinary, not allowed here"),
        ("", "not valid"),
        ("x" * 100, "not valid"),
    ],
)
def test_patient_number_is_judged_and_never_shown(run: Callable[..., Result], number: str, says: str) -> None:
    """It comes on standard input, and only its kind comes out."""
    for extra in ([], ["--json"]):
        result = run("explain", "--municipality", "havnes", "--patient", "-", *extra, stdin=f"{number}\n")
        assert result.exit_code == 0
        assert says in result.output
        assert not number or number not in result.output


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--patient", "-"],
        ["--at", "2026-12-01T00:00:00Z"],
        ["--municipality", "havnes", "--patient", "12834010060"],
        ["--municipality", "havnes", "--information", "varsler"],
        ["--municipality", "havne"],
        ["--municipality", "havnes", "--at", "tomorrow"],
        ["--municipality", "havnes", "--at", "2026-12-01T00:00:00"],
        ["--message", "1"],
        ["--request", "nowhere.http"],
        ["--request", "{file}", "--municipality", "havnes"],
        ["--municipality"],
        ["--wrong"],
    ],
    ids=str,
)
def test_wrong_use_ends_with_two(run: Callable[..., Result], tmp_path: Path, arguments: list[str]) -> None:
    """What cannot be asked is said so, with no trace of a failure."""
    file = tmp_path / "request.http"
    file.write_text("POST /epj/r4/315058384/bundle HTTP/1.1\n\n", encoding="utf-8")
    result = run("explain", *(argument.format(file=file) for argument in arguments))
    assert result.exit_code == 2, result.output
    assert isinstance(result.exception, SystemExit)
    assert "12834010060" not in result.output


def test_near_name_is_suggested(run: Callable[..., Result]) -> None:
    """A slip of the pen is recognised."""
    assert 'did you mean "havnes"' in run("explain", "--municipality", "havne").output


def test_moment_may_be_given(run: Callable[..., Result]) -> None:
    """With its offset, so that there is no doubt when."""
    for moment in ("2026-12-01T08:00:00+01:00", "2026-12-01T08:00Z"):
        assert explained(run, "--municipality", "havnes", "--at", moment)["mode"] == "closed"


def test_bad_configuration_is_told(run: Callable[..., Result], routes_file: Path) -> None:
    """Exit 2 with the problems."""
    routes_file.write_text("version: 1\n", encoding="utf-8")
    result = run("explain", "--municipality", "havnes")
    assert result.exit_code == 2
    assert f"{routes_file}:1:1: " in result.stderr


# A whole request.


def request(tmp_path: Path, target: str, body: bytes, *, vkp_id: str | None = None, end: bytes = b"\r\n") -> Path:
    """Write a request into a file."""
    lines = [f"POST {target} HTTP/1.1".encode(), b"Host: api.vkp.example"]
    if vkp_id is not None:
        claims = base64.urlsafe_b64encode(json.dumps({"nhn:vkp/client/claims/vkp-id": vkp_id}).encode()).rstrip(b"=")
        lines.append(b"Authorization: Bearer e30." + claims + b".c2ln")
    file = tmp_path / "request.http"
    file.write_bytes(end.join([*lines, b"", body]))
    return file


@pytest.mark.parametrize("end", [b"\r\n", b"\n"], ids=["CRLF", "LF"])
@pytest.mark.parametrize(
    ("target", "name", "vkp_id", "decided"),
    [
        ("/epj/r4/312229544/medicationdispense", "dispensed", "Evondos_Nordfjell", ("new", "medisinering")),
        ("/epj/r4/312229544/composition", "note", "Evondos_Nordfjell", ("legacy", "notat")),
        ("/EPJ/R4/312229544/bundle/", "measurement", None, ("legacy", "maledata")),
        ("/epj/r4/315058384/bundle", "measurement", "Dignio_Havnes", ("new", "maledata")),
        ("/epj/r4/315058384/patient/_search", "note", None, ("closed", "pasientinfo")),
    ],
)
def test_request_is_decided_as_the_gateway_would(
    run: Callable[..., Result],
    tmp_path: Path,
    end: bytes,
    *,
    target: str,
    name: str,
    vkp_id: str | None,
    decided: tuple[str, str],
) -> None:
    """Path, token and body are read from the file, also one that an editor saved."""
    file = request(tmp_path, target, message(name), vkp_id=vkp_id, end=end)
    document = explained(run, "--request", file)
    assert (document["mode"], document["information"], document["sender"]) == (*decided, vkp_id)


@pytest.mark.parametrize("form", ["xml", "json"])
@pytest.mark.parametrize(
    ("target", "name", "decided"),
    [
        ("/epj/stu3/102287/bundle", "dispensed", ("legacy", "medisinering")),
        ("/epj/stu3/102287/$process-message", "location-measurement", ("legacy", "varsel")),
        ("/EPJ/STU3/102287/Encounter/", "digital-encounter", ("legacy", "tilsyn")),
    ],
)
def test_stu3_request_is_decided_as_the_gateway_would(
    run: Callable[..., Result], tmp_path: Path, target: str, name: str, decided: tuple[str, str], *, form: str
) -> None:
    """The HER-id names the municipality, and the body is read in the form that it has."""
    document = explained(run, "--request", request(tmp_path, target, stu3_message(f"{name}.{form}")))
    assert (document["mode"], document["information"]) == decided
    assert document["municipality"] == "nordfjell"


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b'{"resourceType":"Bundle","a":1,"a":2}', b"x" * 2_000_000])
@pytest.mark.parametrize(
    ("resource", "vkp_id", "decided"),
    [
        ("composition", "Evondos_Nordfjell", ("legacy", "notat")),
        ("medicationdispense", "Evondos_Nordfjell", ("new", "medisinering")),
        ("bundle", "Evondos_Nordfjell", ("new", "medisinering")),
        ("bundle", "Dignio_Havnes", ("legacy", None)),
    ],
)
def test_unreadable_request_is_decided_as_each_type_that_it_could_be(
    run: Callable[..., Result],
    tmp_path: Path,
    body: bytes,
    *,
    resource: str,
    vkp_id: str,
    decided: tuple[str, str | None],
) -> None:
    """As in the gateway, by one that is not VKP's where there is such a one; it is no mistake of the operator."""
    file = request(tmp_path, f"/epj/r4/312229544/{resource}", body, vkp_id=vkp_id)
    document = explained(run, "--request", file)
    assert (document["mode"], document["information"]) == decided
    is_told = any("refused, since not each" in note for note in document["notes"])
    assert is_told == (resource == "bundle" and decided[0] == "new")


@pytest.mark.parametrize("target", ["http://vkp.example/epj/r4/312229544/bundle", "/epj\\r4", "*"])
def test_request_that_the_gateway_refuses_is_said_to_be(
    run: Callable[..., Result], tmp_path: Path, target: str
) -> None:
    """A target that no route decides is told in words, with exit 1."""
    result = run("explain", "--request", request(tmp_path, target, b""))
    assert result.exit_code == 1, result.output
    assert isinstance(result.exception, SystemExit)
    assert "target" in result.output


@pytest.mark.parametrize(
    "head", [b"", b"POST\n\n", b"POST /a\n\n", b"POST /a b HTTP/1.1\n\n", b"POST /a HTTP/1.1\nno colon\n\n"]
)
def test_file_that_is_no_request_is_wrong_use(run: Callable[..., Result], tmp_path: Path, head: bytes) -> None:
    """The first line and the fields must be there."""
    file = tmp_path / "request.http"
    file.write_bytes(head)
    assert run("explain", "--request", file).exit_code == 2


def test_request_shows_nothing_of_its_body(run: Callable[..., Result], tmp_path: Path) -> None:
    """Neither the patient nor the token comes out."""
    file = request(tmp_path, "/epj/r4/315058384/bundle", message("alarm-follow-up"), vkp_id="Dignio_Havnes")
    for extra in ([], ["--json"]):
        output = run("explain", "--request", file, *extra).output
        assert "12834010060" not in output
        assert "e30." not in output


# A canary, and a message of the past.

CANARY = (
    "  - {mode: legacy}\n"
    '  - {municipality: havnes, mode: closed, text: "Ikke ennå."}\n'
    "  - {municipality: nordfjell, information: [journaling], mode: canary, share: 69%, never: [Dignio_Havnes]}\n"
)
WITH_CANARY = ("--municipality", "nordfjell", "--information", "notat")


@pytest.fixture
def canary(routes_file: Path) -> Path:
    """Write a configuration with a canary, and its key."""
    routes_file.write_text(HEAD + CANARY, encoding="utf-8")
    key = routes_file.parent / "var" / "canary.key"
    key.parent.mkdir()
    secret = base64.urlsafe_b64encode(b"k" * 32).rstrip(b"=").decode()
    key.write_text(json.dumps({"id": "c1", "key": secret, "made_at": 1}), encoding="utf-8")
    key.chmod(0o600)
    return key


@pytest.mark.parametrize(("number", "mode"), [("12834010060", "new"), ("05894910005", "legacy")])
def test_canary_is_explained_for_a_patient(run: Callable[..., Result], canary: Path, number: str, mode: str) -> None:
    """The side is what the running gateway would choose; neither the number nor its place is shown."""
    del canary
    result = run("explain", "--json", *WITH_CANARY, "--patient", "-", stdin=f"{number}\n")
    document = json.loads(result.stdout)
    assert (document["mode"], document["canary"], document["layer"]) == (mode, True, "routes")
    assert "a canary decides: it takes over 0.69 of the patients" in document["notes"]
    assert number not in result.output
    assert "share" not in document


def test_canary_is_explained_for_a_request(run: Callable[..., Result], canary: Path, tmp_path: Path) -> None:
    """By the patient in its body."""
    del canary
    for number, mode in (("12834010060", "new"), ("05894910005", "legacy")):
        body = message("note").replace(b"01813210084", number.encode())
        file = request(tmp_path, "/epj/r4/312229544/composition", body, vkp_id="Evondos_Nordfjell")
        assert explained(run, "--request", file)["mode"] == mode


def test_canary_without_a_patient_or_a_key_is_said_to_be_open(run: Callable[..., Result], canary: Path) -> None:
    """And who is never taken over."""
    assert "no usable number is known" in " ".join(explained(run, *WITH_CANARY)["notes"])
    never = explained(run, *WITH_CANARY, "--sender", "Dignio_Havnes")
    assert "takes nothing over of this sender" in " ".join(never["notes"])
    canary.unlink()
    document = explained(run, *WITH_CANARY, "--patient", "-", stdin="12834010060\n")
    assert document["mode"] == "legacy"
    assert "the canary key cannot be read here" in " ".join(document["notes"])


def test_text_says_which_layer_decided(run: Callable[..., Result]) -> None:
    """A file alone has only its routes."""
    assert "decided by    routes\n" in run("explain", "--municipality", "havnes").output


DECIDED = {
    "reference": "one",
    "municipality": "nordfjell",
    "information": None,
    "mode": "new",
    "layer": "override",
    "rule": "ovr-1",
    "route": "routes.yaml:9:5",
}


@pytest.fixture
async def admin() -> AsyncIterator[tuple[str, dict[str, object]]]:
    """Start an admin port that answers with what a test puts there, by path; and its address."""
    documents: dict[str, object] = {}

    async def answer(asked: web.BaseRequest) -> web.StreamResponse:
        found = documents.get(asked.path)
        return web.json_response(
            {"code": "not-found", "detail": ""} if found is None else found, status=200 if found else 404
        )

    runner = web.ServerRunner(web.Server(answer))
    await runner.setup()
    (number,) = free_ports(1)
    await web.TCPSite(runner, "127.0.0.1", number).start()
    yield f"http://127.0.0.1:{number}", documents
    await runner.cleanup()


async def asked(url: str, folder: Path, *more: str) -> Result:
    """Explain the message `one`."""
    token = folder / "token"
    token.write_text("vkpgw_secret\n")
    token.chmod(0o600)
    arguments = ["explain", "--message", "one", "--admin", url, "--token-file", str(token), *more]
    return await asyncio.to_thread(CliRunner().invoke, main, arguments)


async def test_past_message_is_explained_by_its_recorded_decision(
    admin: tuple[str, dict[str, object]], tmp_path: Path
) -> None:
    """Also one that VKP answered, which the ledger of messages does not have."""
    url, documents = admin
    documents["/api/v1/decisions/one"] = DECIDED
    result = await asked(url, tmp_path)
    assert result.exit_code == 0, result.output
    assert re.search(r"layer +override\n +rule +ovr-1\n +route +routes\.yaml:9:5\n", result.output)
    assert "was not read" in result.output
    assert json.loads((await asked(url, tmp_path, "--json")).stdout)["decision"] == DECIDED


async def test_past_message_shows_ledger_and_decision_together(
    admin: tuple[str, dict[str, object]], tmp_path: Path
) -> None:
    """One of them may be missing; without both there is no such message."""
    url, documents = admin
    missing = await asked(url, tmp_path)
    assert (missing.exit_code, "not-found" in missing.output) == (1, True)
    documents["/api/v1/messages/one"] = {"reference": "one", "state": "held", "history": []}
    assert "log event message with correlation_id one" in (await asked(url, tmp_path)).output
    documents["/api/v1/decisions/one"] = {**DECIDED, "information": "notat"}
    found = json.loads((await asked(url, tmp_path, "--json")).stdout)
    assert (found["state"], found["decision"]["mode"], found["notes"]) == ("held", "new", [])
