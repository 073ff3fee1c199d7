"""`translate` shows what one message becomes, in a form that tools can rely on."""

from __future__ import annotations

import json
from importlib import resources
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from gateway.cli.main import main
from tests.gateway.world import message, stu3_message

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from click.testing import Result

ALWAYS = ("--surface", "vkp-r4", "--to", "jft")
STU3 = ("--surface", "vkp-stu3", "--to", "jft")
KEYS = [
    *("surface", "information", "calls", "repairs", "losses", "coverage", "refusal", "derived", "test", "undelivered"),
    "addressing",
]


def translated(run: Callable[..., Result], body: bytes, *arguments: str, code: int = 0) -> dict[str, Any]:
    """Translate standard input and return the JSON."""
    result = run("translate", *ALWAYS, "--json", *arguments, "-", stdin=body)
    assert result.exit_code == code, result.output
    document: dict[str, Any] = json.loads(result.stdout)
    return document


def test_json_has_exactly_its_form(run: Callable[..., Result]) -> None:
    """Every part is there, with these keys and no others."""
    document = translated(run, message("quirks"))
    assert list(document) == KEYS
    assert (document["surface"], document["information"], document["refusal"]) == ("vkp-r4", "varsel", None)
    (call,) = document["calls"]
    assert list(call) == ["service", "method", "path", "headers", "body"]
    assert (call["service"], call["method"], call["path"]) == ("jft", "POST", "/v1/Bundle")
    assert call["headers"] == {"Content-Type": "application/json"}
    assert call["body"]["resourceType"] == "Bundle"
    assert all(list(repair) == ["path", "rule"] for repair in document["repairs"])
    assert {"path": "Bundle.entry[0].resource.category", "rule": "object-wrapped-in-array"} in document["repairs"]
    assert document["losses"] == []
    coverage = document["coverage"]
    assert set(coverage) == {"leaves", "carried", "derived", "repaired", "lost"}
    assert coverage["leaves"] == coverage["carried"] + coverage["repaired"] + coverage["lost"]


def test_what_addressing_uses_is_named(run: Callable[..., Result]) -> None:
    """Each place by its path, beside the counts; in the text by line."""
    body = stu3_message("dispensed.xml")
    document = json.loads(run("translate", *STU3, "--json", "-", stdin=body).stdout)
    assert "Bundle.entry[0].resource.event" in document["addressing"]
    assert "Bundle.entry[1].fullUrl" in document["addressing"]
    assert "used         Bundle.entry[0].resource.event: " in run("translate", *STU3, "-", stdin=body).output


def test_numbers_keep_their_digits(run: Callable[..., Result]) -> None:
    """What is printed is what would be sent."""
    result = run("translate", *ALWAYS, "--json", "-", stdin=message("measurement"))
    assert "81.30" in result.stdout


def test_refusal_is_exit_one_with_its_code(run: Callable[..., Result]) -> None:
    """Code, text and path, and no call."""
    document = translated(run, message("bad-patient"), code=1)
    assert document["calls"] == []
    assert list(document["refusal"]) == ["code", "text", "path"]
    assert document["refusal"]["code"] == "2.1"
    assert document["refusal"]["path"] == "Bundle.entry[0].resource.subject.identifier.value"
    assert "12834010061" not in json.dumps(document)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "2.4"),
        (b"{", "2.4"),
        (b"[]", "2.4"),
        (b'{"resourceType":"Nothing"}', "2.4"),
        (b'{"a":1,"a":2}', "2.4"),
        (b"\xff", "2.4"),
        (b"[" * 10_000, "2.4"),
        (b'{"resourceType":"Patient"}', "2.1"),
    ],
    ids=range(8),
)
def test_unusable_message_is_refused_in_the_same_form(run: Callable[..., Result], body: bytes, code: str) -> None:
    """Whatever was given, the answer is a document with a refusal."""
    document = translated(run, body, code=1)
    assert document["refusal"]["code"] == code
    assert list(document) == KEYS


def test_message_comes_from_a_file_too(run: Callable[..., Result], tmp_path: Path) -> None:
    """The same answer as from standard input."""
    file = tmp_path / "message.json"
    file.write_bytes(message("note"))
    result = run("translate", *ALWAYS, "--json", file)
    assert json.loads(result.stdout) == translated(run, message("note"))


def test_text_is_for_people(run: Callable[..., Result]) -> None:
    """Calls, repairs and coverage by line; a refusal with its code."""
    good = run("translate", *ALWAYS, "-", stdin=message("quirks"))
    assert "call         jft POST /v1/Bundle" in good.output
    assert "repair       Bundle.entry[0].resource.category: object-wrapped-in-array" in good.output
    bad = run("translate", *ALWAYS, "-", stdin=message("bad-patient"))
    assert bad.exit_code == 1
    assert "refused      2.1: " in bad.output


LOSSY = message("note").replace(b'"title": "Fritt notat"', b'"ward": "x", "room": {"a": 1}, "title": "y"')


def test_loss_is_a_refusal(run: Callable[..., Result]) -> None:
    """Unless a route tolerates it; each loss has its path and reason."""
    document = translated(run, LOSSY, code=1)
    assert document["refusal"]["code"] == "2.4"
    assert [loss["path"] for loss in document["losses"]] == ["Composition.ward", "Composition.room.a"]
    assert all(list(loss) == ["path", "reason"] and loss["reason"] for loss in document["losses"])
    assert document["coverage"]["lost"] == 2


def test_loss_that_the_route_tolerates_is_only_told(run: Callable[..., Result], routes_file: Path) -> None:
    """With the municipality named, its route says which losses are fine; without, none is."""
    text = routes_file.read_text(encoding="utf-8").replace(
        "havnes, information: [journaling], mode: new",
        "havnes, information: [journaling], mode: new, losses: [Composition.ward, Composition.room]",
    )
    routes_file.write_text(text, encoding="utf-8")
    document = translated(run, LOSSY, "--municipality", "havnes")
    assert (len(document["calls"]), len(document["losses"]), document["refusal"]) == (1, 2, None)
    translated(run, LOSSY, "--municipality", "vikan", code=1)
    translated(run, LOSSY, code=1)


def test_sender_gives_its_system_along(run: Callable[..., Result]) -> None:
    """As the gateway would send it."""
    document = translated(run, message("note"), "--municipality", "havnes", "--sender", "Dignio_Havnes")
    assert document["calls"][0]["headers"]["nhn-source-system"] == "Dignio Prevent"


@pytest.mark.parametrize(
    "arguments",
    [
        ["-"],
        ["--surface", "vkp-r4", "-"],
        ["--surface", "soap", "--to", "jft", "-"],
        ["--surface", "vkp-r4", "--to", "vkp", "-"],
        [*ALWAYS],
        [*ALWAYS, "nowhere.json"],
        [*ALWAYS, "--municipality", "havne", "-"],
    ],
    ids=str,
)
def test_wrong_use_ends_with_two(run: Callable[..., Result], arguments: list[str]) -> None:
    """What cannot be asked is said so."""
    result = run("translate", *arguments, stdin=message("note"))
    assert result.exit_code == 2, result.output
    assert isinstance(result.exception, SystemExit)


# STU3.


def renewed(run: Callable[..., Result], body: bytes, *arguments: str, code: int = 0) -> dict[str, Any]:
    """Translate an STU3 message from standard input and return the JSON."""
    result = run("translate", *STU3, "--json", *arguments, "-", stdin=body)
    assert result.exit_code == code, result.output
    document: dict[str, Any] = json.loads(result.stdout)
    assert list(document) == KEYS
    return document


@pytest.mark.parametrize("form", ["xml", "json"])
def test_stu3_message_becomes_the_same_in_both_forms(run: Callable[..., Result], form: str) -> None:
    """The form is told by the first byte; what was made is listed with its rule."""
    document = renewed(run, stu3_message(f"dispense-with-note.{form}"), "--municipality", "havnes")
    assert (document["surface"], document["information"], document["test"]) == ("vkp-stu3", "medisinering", False)
    assert [call["path"] for call in document["calls"]] == ["/v1/Bundle"]
    assert document["calls"] == renewed(run, stu3_message("dispense-with-note.xml"))["calls"]
    assert document["derived"]
    assert all(list(derived) == ["path", "rule"] for derived in document["derived"])


def test_stu3_repairs_of_the_wire_are_listed(run: Callable[..., Result]) -> None:
    """What decoding corrected is a repair as any other."""
    place = b'<Bundle xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:schemaLocation="http://hl7.org/fhir x" '
    document = renewed(run, stu3_message("dispensed.xml").replace(b"<Bundle ", place))
    assert "schema-location-dropped" in {repair["rule"] for repair in document["repairs"]}


def test_stu3_test_message_is_delivered_nowhere(run: Callable[..., Result]) -> None:
    """It is no refusal, and there is no call."""
    document = renewed(run, stu3_message("test.xml"))
    assert (document["test"], document["calls"], document["refusal"]) == (True, [], None)
    assert "delivered nowhere" in run("translate", *STU3, "-", stdin=stu3_message("test.json")).output


def test_stu3_text_names_what_was_made(run: Callable[..., Result]) -> None:
    """A line for each element that the source does not have."""
    result = run("translate", *STU3, "-", stdin=stu3_message("digital-encounter.xml"))
    assert result.exit_code == 0
    assert "\nderived      Bundle." in result.output


@pytest.mark.parametrize(
    "body",
    [
        b"<Bundle/>",
        b"<!DOCTYPE x><Bundle/>",
        b'{"resourceType":"Patient"}',
        b'{"resourceType":"Bundle","type":"document"}',
        stu3_message("dispensed.json").replace(b'"MessageHeader"', b'"Messageheader"'),
        stu3_message("category-missing.xml"),
    ],
    ids=range(6),
)
def test_stu3_message_that_is_none_is_refused(run: Callable[..., Result], body: bytes) -> None:
    """With code 2.4, as the gateway would."""
    assert renewed(run, body, code=1)["refusal"]["code"] == "2.4"


@pytest.mark.parametrize(
    ("file", "information", "path"),
    [("note", "notat", "/v1/Composition"), ("dispensed", "medisinering", "/v1/MedicationDispense")],
)
def test_msghead_is_translated_in_its_envelope_and_alone(
    run: Callable[..., Result], file: str, information: str, path: str
) -> None:
    """As it came over SOAP, and as files of the national message formats have it."""
    body = resources.files("translators").joinpath("examples", "soap", f"{file}.xml").read_bytes()
    alone = body[body.index(b"<MsgHead") : body.index(b"</MsgHead>") + len(b"</MsgHead>")]
    documents = [translated(run, each, "--surface", "vkp-soap", "--to", "jft") for each in (body, alone)]
    for document in documents:
        assert (document["surface"], document["information"]) == ("vkp-soap", information)
        assert [call["path"] for call in document["calls"]] == [path]
        coverage = document["coverage"]
        assert coverage["leaves"] == coverage["carried"] + coverage["repaired"] + coverage["lost"]
        assert not document["losses"]
    assert documents[0]["calls"] == documents[1]["calls"]


def test_what_is_shared_with_pmd_is_shown(run: Callable[..., Result], routes_file: Path) -> None:
    """As it would be sent once JFT has the message; what is left out is a loss, and a message without a measurement is refused."""
    text = routes_file.read_text(encoding="utf-8")
    routes_file.write_text(
        text.replace('orgnr: "312229544",', 'orgnr: "312229544", kommunenummer: "4601",'), encoding="utf-8"
    )
    to_pmd = ("--surface", "vkp-r4", "--to", "pmd", "--municipality", "nordfjell")
    result = run("translate", *to_pmd, "--json", "-", stdin=message("measurement"))
    assert result.exit_code == 0, result.output
    (call,) = json.loads(result.stdout)["calls"]
    assert (call["service"], call["method"], call["path"]) == ("pmd", "POST", "/")
    assert [one["resource"]["resourceType"] for one in call["body"]["entry"]] == ["Observation"]
    assert [tag["code"] for tag in call["body"]["meta"]["tag"]] == ["4601"]
    assert "81.30" in result.stdout
    refused = run("translate", *to_pmd, "-", stdin=message("note"))
    assert (refused.exit_code, "no measurement that can be shared" in refused.output) == (1, True)
    unnamed = run("translate", *to_pmd[:4], "-", stdin=message("measurement"))
    assert "--municipality" in unnamed.output
    assert unnamed.exit_code == 2


@pytest.mark.parametrize(
    "arguments",
    [("translate", "--surface", "vkp-r4", "--to", "jft"), ("audit", "verify", "--head")],
    ids=lambda words: words[0],
)
@pytest.mark.parametrize(("name", "why"), [("none", "No such file or directory"), (".", "Is a directory")])
def test_file_that_cannot_be_read_is_told_with_what_to_do(
    tmp_path: Path, arguments: tuple[str, ...], name: str, why: str
) -> None:
    """In one sentence, exit 2."""
    result = CliRunner().invoke(main, [*arguments, str(tmp_path / name)])
    assert result.exit_code == 2
    assert f"{tmp_path / name} cannot be read ({why}); give a file that this user may read." in result.output
