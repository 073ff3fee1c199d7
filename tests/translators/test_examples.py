"""The published examples of STU3, in the folder that VKP_EXAMPLES names; they are not ours to ship.

Every identity number is replaced by a synthetic one before anything is done with it.
"""

import json
import os
import re
from collections import Counter
from itertools import count
from operator import mul
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from gateway.cli.main import main
from service_stubs.fhir_structure import structure_faults
from tests.translators.accounting import missing
from tests.translators.drawing import at, check_account, check_elements, check_told, leaf_count
from tests.translators.stu3_messages import ALONE
from translators.contract import Reason, Settings, Translation, Tree
from translators.fhir import json_codec, xml_codec
from translators.fhir.conform import conform
from translators.fhir.elements import r4, stu3
from translators.fhir.plan import from_stu3
from translators.made import settled
from translators.national_number import TEST_KINDS, kind_of
from translators.okt import services_of
from translators.services import answers, episode_of_care
from translators.source import Source
from translators.stu3.answers import expressed
from translators.translate import translate

FOLDER = Path(os.environ["VKP_EXAMPLES"])
ROUTES = Path(__file__).parents[2] / "routes.yaml"
FILES = sorted(path for path in FOLDER.glob("*") if path.suffix in (".xml", ".json"))
NEW_SERVICES = sorted((FOLDER.parents[1] / "new").glob("jft-writeapi-example-*.json"))
NUMBER_SYSTEMS = {
    *(f"urn:oid:2.16.578.1.12.4.1.4.{number}" for number in (1, 2, 3)),
    "http://ehelse.no/fhir/identifiertypes/FNR",
}
FAULTY = {
    "categoryMissing": (Reason.FORMAT, r"Bundle\.entry\[1\]\.resource\.category"),
    "performerMissing": (Reason.FORMAT, r"Bundle\.entry\[1\]\.resource\.performer"),
    "feil-subject-system": (
        Reason.UNKNOWN_PATIENT,
        r"Bundle\.entry\[\d+\]\.resource\.(subject|patient)\.identifier\.value",
    ),
}
JOURNALED = ("Bundle", *ALONE)
TIME = "2026-05-04T08:31:00Z"
WEIGHTS_1 = (3, 7, 6, 1, 8, 9, 4, 5, 2)
WEIGHTS_2 = (5, 4, 3, 2, 7, 6, 5, 4, 3, 2)


def _decoded(name: str, data: bytes) -> dict[str, Tree]:
    tree = json_codec.decode(data) if name.endswith(".json") else xml_codec.decode(data, stu3())[0]
    assert isinstance(tree, dict)
    return tree


def _identity_numbers(tree: Tree) -> set[str]:
    below = list(tree.values()) if isinstance(tree, dict) else tree if isinstance(tree, list) else []
    found = set[str]().union(*map(_identity_numbers, below))
    if isinstance(tree, dict) and tree.get("system") in NUMBER_SYSTEMS and re.fullmatch(r"\d{11}", str(tree["value"])):
        found.add(str(tree["value"]))
    return found


def _synthetic(number: str, taken: set[str]) -> str:
    """Return a number of much the same day that no person has: 80 is added to the month."""
    day, month = int(number[:2]) % 70, int(number[2:4]) % 5
    day = day if 1 <= day % 40 <= 31 else 1
    for serial in count(int(number[6:9])):
        first = f"{day:02}{month + 81:02}{number[4:6]}{serial % 1000:03}"
        nine = first + str(-sum(map(mul, WEIGHTS_1, map(int, first))) % 11)
        whole = nine + str(-sum(map(mul, WEIGHTS_2, map(int, nine))) % 11)
        if len(whole) == 11 and whole not in taken:
            return whole
    raise AssertionError


def _depersonalised(name: str, data: bytes) -> bytes:
    """Replace each identity number wherever its digits stand, the same by the same."""
    taken: set[str] = set()
    for number in sorted(_identity_numbers(_decoded(name, data))):
        replacement = _synthetic(number, taken)
        taken.add(replacement)
        data = data.replace(number.encode(), replacement.encode())
    return data


def _read(path: Path) -> dict[str, Tree]:
    return _decoded(path.name, _depersonalised(path.name, path.read_bytes()))


def _is_answer(tree: dict[str, Tree]) -> bool:
    try:
        return bool(at(tree, ".entry[0].resource.response"))
    except (KeyError, IndexError):
        return False


def _fault_of(path: Path) -> str | None:
    return next((name for name in FAULTY if name in path.name), None)


def _is_journaling(path: Path) -> bool:
    tree = _read(path)
    return tree["resourceType"] in JOURNALED and not _is_answer(tree) and _fault_of(path) is None


JOURNALINGS = [path for path in FILES if _is_journaling(path)]
OTHERS = [path for path in FILES if path not in JOURNALINGS]


def _translate(tree: Tree) -> Translation:
    return translate(tree, "vkp-stu3", "jft", Settings(TEST_KINDS, received=TIME))


def test_there_are_examples() -> None:
    """A folder that holds nothing is a mistake, not a success."""
    assert JOURNALINGS


def test_no_example_keeps_a_number_that_a_person_could_have() -> None:
    """Every identity number is a synthetic one with right check digits; nothing of the old one stays."""
    for path in FILES:
        before = _identity_numbers(_decoded(path.name, path.read_bytes()))
        data = _depersonalised(path.name, path.read_bytes())
        after = _identity_numbers(_decoded(path.name, data))
        assert len(before) == len(after)
        assert {kind_of(number) for number in after} <= TEST_KINDS
        assert not [number for number in before - after if number.encode() in data]


@pytest.mark.parametrize("path", JOURNALINGS, ids=lambda path: path.stem)
def test_a_journaling_goes_whole_and_as_right_r4(path: Path) -> None:
    """Nothing is lost, every leaf is accounted for, and models that are not ours find nothing wrong in any resource."""
    tree = _read(path)
    result = _translate(tree)
    assert result.refusal is None
    assert result.calls
    assert result.losses == ()
    check_told(result)
    assert result.coverage.leaves == leaf_count(tree)
    check_account(tree, result)
    assert missing(tree, "vkp-stu3", result) == Counter()
    for call in result.calls:
        body = json_codec.decode(call.body)
        check_elements(r4(), body)
        plain: dict[str, Any] = json.loads(call.body)
        for resource in [plain, *(entry["resource"] for entry in plain.get("entry", ()))]:
            assert structure_faults(resource) == []


@pytest.mark.parametrize("path", OTHERS, ids=lambda path: path.stem)
def test_what_is_no_right_journaling_is_refused_where_it_is_wrong(path: Path) -> None:
    """The element that is missing or wrong, the answer, or the type that is no journaling."""
    tree = _read(path)
    result = _translate(tree)
    refusal = result.refusal
    assert refusal is not None
    assert result.calls == ()
    check_told(result)
    fault = _fault_of(path)
    if fault is not None:
        reason, where = FAULTY[fault]
        assert refusal.reason is reason
        assert re.fullmatch(where, str(refusal.path))
    elif _is_answer(tree):
        assert (refusal.text, refusal.path) == ("an answer is no journaling", "Bundle.entry[0].resource.response")
    else:
        assert (refusal.reason, refusal.path) == (Reason.FORMAT, "resourceType")
        assert refusal.text == "neither a message Bundle nor a resource that is journaled alone"


@pytest.mark.parametrize("path", JOURNALINGS[:1] + JOURNALINGS[-1:], ids=lambda path: path.stem)
def test_the_command_line_prints_the_same_call(path: Path, tmp_path: Path) -> None:
    """`translate` reads the file as it would come from a sender."""
    copy = tmp_path / f"message{path.suffix}"
    copy.write_bytes(_depersonalised(path.name, path.read_bytes()))
    options = ["--surface", "vkp-stu3", "--to", "jft", "--config", str(ROUTES), "--json"]
    printed = CliRunner().invoke(main, ["translate", *options, str(copy)])
    assert printed.exit_code == 0, printed.output
    document = json.loads(printed.stdout)
    (call,) = _translate(_read(path)).calls
    body = json.loads(call.body)
    for one in (document["calls"][0]["body"], body):
        one.pop("timestamp", None)
    assert document["calls"][0]["body"] == body
    assert document["losses"] == []


def test_every_call_is_taken_by_the_double_or_refused_for_a_fault_of_the_message(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Of all examples, those of the new services among them; the counts are printed."""
    found = Counter[str]()
    examples = [(path.name, path.read_bytes(), "vkp-stu3") for path in FILES]
    examples += [(path.name, path.read_bytes(), "vkp-r4") for path in NEW_SERVICES]
    for name, data, surface in examples:
        tree = _decoded(name, _depersonalised(name, data))
        result = translate(tree, surface, "jft", Settings(TEST_KINDS, received=TIME))
        found[f"{surface} refused" if result.refusal else f"{surface} taken"] += 1
        assert result.refusal is None or result.refusal.path
        for call in result.calls:
            assert structure_faults(json.loads(call.body)) == []
            found[f"calls of {surface}"] += 1
    with capsys.disabled():
        print(f"\n{len(examples)} published examples: {dict(sorted(found.items()))}")  # noqa: T201 - a person reads it


RETRIEVED = ("vkp-Patient-Magnar-Solbakken.xml", "vkp-CarePlan-Arbeidsplan-Magnar-Solbakken.xml")


@pytest.mark.parametrize("name", RETRIEVED)
def test_what_vkp_answered_is_told_to_stu3_senders_as_it_was(name: str) -> None:
    """Brought to R4 and back, a published answer says the same; profiles of the inner language get their older names again."""
    tree = _read(FOLDER / name)
    source = Source(tree, str(tree["resourceType"]))
    newer = conform(source.root, from_stu3())
    settled(newer)
    assert structure_faults(json.loads(json_codec.encode(newer))) == []
    assert _plain(expressed(newer)) == _plain(tree)


def _plain(tree: Tree) -> Any:
    """Leave out the blanks at the ends of texts, which are repaired on the way to R4."""
    return json.loads(json_codec.encode(tree).replace(b' "', b'"'))


@pytest.mark.parametrize("path", sorted(NEW_SERVICES[0].parent.glob("okt-*.json")), ids=lambda path: path.stem)
def test_what_okt_answered_becomes_services(path: Path) -> None:
    """NHN's own examples, whose persons are of NHN's synthetic series."""
    body = path.read_bytes()
    number = json.loads(body)["personIdentifier"]
    assert kind_of(number) in TEST_KINDS
    services = services_of(body, number)
    assert len(services) == len(json.loads(body)["oktMessages"])
    for one in services:
        assert structure_faults(json.loads(json_codec.encode(episode_of_care(one, number, "2026-11-29", OKT_ID)))) == []
        assert one.extent is None or one.extent.unit in ("h", "min")
    assert any(answers(["TA"], one, "2026-11-29", {}) for one in services) == (number == "22750884907")


OKT_ID = "00000000-0000-4000-8000-000000000000"
