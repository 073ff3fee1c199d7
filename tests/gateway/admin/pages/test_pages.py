"""What people read: who they are, what runs, in Norwegian and English."""

from __future__ import annotations

import inspect
import re
from importlib import resources
from typing import TYPE_CHECKING

import pytest

from gateway.admin.pages import catalogue
from gateway.admin.pages.catalogue import TEXTS, language
from gateway.admin.problems import Code
from gateway.migration import preflight
from gateway.migration.report import CellStatus
from tests.gateway.admin.pages.families import OF_ALL, OF_PLANS
from tests.gateway.office import NORA

if TYPE_CHECKING:
    from pathlib import Path

    from tests.gateway.office import Browser, Office

CHECKS = {
    *("plan", "epj", "service", "token", "rollback", "rehearsals", "losses", "senders", "acknowledgements", "time"),
    *("copies", "step_back", "rules", "approvals"),
}
FAMILIES = {**OF_ALL, **OF_PLANS}
ALIKE = {
    *("percent_mark", "span_seconds", "span_minutes", "at_clock", "decimal_mark", "state", "word-loss"),
    *("rep_back", "nav_health", "pre-plan-wrong", "pre-service-warning", "service-status-prototype", "service-vkp"),
}
"""What may be the same in both languages."""


def test_both_languages_say_the_same_things() -> None:
    """No text is missing in one of them, and few are the same in both: signs, units, letters, and words that both have."""
    norwegian, english = TEXTS["nb"], TEXTS["en"]
    assert norwegian.keys() == english.keys()
    assert {key for key in norwegian if not norwegian[key]} == set()
    assert {key for key in english if not english[key]} == {"ordinal_mark"}
    alike = {key for key in norwegian if norwegian[key] == english[key]}
    assert {key for key in alike if key.partition("-")[0] not in ("letter", "short", "surface")} <= ALIKE


def test_every_text_of_a_page_is_there_and_none_is_unused() -> None:
    """Whether templates, Python or the families of words name it."""
    package = resources.files("gateway.admin.pages")
    templates = [each.read_text(encoding="utf-8") for each in package.joinpath("templates").iterdir()]
    used = {name for page in templates for name in re.findall(r"\bt\.(\w+)", page)}
    used |= {f"{family}-{value}" for family, values in FAMILIES.items() for value in values}
    used |= {"valid", "expired", "revoked", *Code}
    used |= {f"rep-{status}" for status in CellStatus}
    used |= {f"cut-check-{check}" for check in CHECKS}
    modules = [each.read_text(encoding="utf-8") for each in package.iterdir() if each.name.endswith(".py")]
    known = TEXTS["nb"].keys()
    used |= {name for module in modules for name in re.findall(r"[\"']([\w-]+)[\"']", module)} & known
    used |= {f"span_{unit}" for unit in ("days", "hours", "minutes", "seconds")}
    for texts in TEXTS.values():
        assert texts.keys() == used


def test_every_family_of_words_is_used() -> None:
    """By a template or by Python: the texts of one that nothing names are unused."""
    package = resources.files("gateway.admin.pages")
    files = [*package.joinpath("templates").iterdir(), *package.iterdir()]
    texts = [one.read_text(encoding="utf-8") for one in files if one.name.endswith((".html", ".py"))]
    unused = {name for name in FAMILIES if not any(re.search(rf"""["']{name}(?:["']|-["'{{])""", one) for one in texts)}
    # Named by what it is put together of: `~ "-help"`.
    assert unused <= {"fault-help", "rule-help"}


def test_words_of_a_template_are_of_families_that_there_are() -> None:
    """A family that is spelt otherwise would show the product's code words."""
    folder = resources.files("gateway.admin.pages").joinpath("templates")
    named = {
        name
        for page in folder.iterdir()
        for name in re.findall(r"\bw\.word\(\"([^\"]+)\"", page.read_text(encoding="utf-8"))
    }
    assert named <= FAMILIES.keys()


def test_every_page_has_a_title_of_its_own() -> None:
    """It is what a tab and a screen reader call it."""
    folder = resources.files("gateway.admin.pages").joinpath("templates")
    pages = {each.name: each.read_text(encoding="utf-8") for each in folder.iterdir()}
    whole = {name: text for name, text in pages.items() if '{% extends "layout.html" %}' in text}
    titles = {
        name: re.findall(r"{% block title %}(.+?){% endblock %}", text, re.DOTALL) for name, text in whole.items()
    }
    assert {name for name, found in titles.items() if len(found) != 1} == set()


def test_checks_with_a_text_are_those_of_a_preflight() -> None:
    """Read from the code that makes them: each has its name written out."""
    assert set(re.findall(r'Finding\(\s*"(\w+)"', inspect.getsource(preflight))) == CHECKS


def test_key_in_two_files_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One of its two texts would be shown nowhere."""
    (tmp_path / "texts" / "nb").mkdir(parents=True)
    for name in ("a", "b"):
        (tmp_path / "texts" / "nb" / f"{name}.toml").write_text('x = "1"\n', encoding="utf-8")
    monkeypatch.setattr(resources, "files", lambda _package: tmp_path)
    with pytest.raises(ValueError, match=r"nb/b\.toml has keys of another file: x"):
        catalogue._read("nb")


@pytest.mark.parametrize(
    ("asked", "remembered", "accepted", "chosen"),
    [
        ("", "", "", "nb"),
        ("", "", "en-GB,en;q=0.9", "en"),
        ("", "", "nn-NO,en;q=0.5", "nb"),
        ("", "", "de,en;q=0.5", "en"),
        ("", "", "de", "nb"),
        ("", "en", "nb", "en"),
        ("nb", "en", "en", "nb"),
        ("xx", "yy", "en", "en"),
    ],
)
def test_language_of_a_page(asked: str, remembered: str, accepted: str, chosen: str) -> None:
    """The one asked for, then the one remembered, then the browser's, then Norwegian."""
    assert language(asked, remembered, accepted) == chosen


async def test_language_that_was_chosen_stays(olga: Browser) -> None:
    """A link changes it for this browser."""
    assert "Logg ut" in (await olga.get("/")).text
    page = await olga.get("/?lang=en")
    assert "Log out" in page.text
    assert '<html lang="en">' in page.text
    assert "Log out" in (await olga.get("/")).text


async def test_page_tells_what_runs(office: Office, olga: Browser) -> None:
    """File, version, environment, and what became of the last reload."""
    page = await olga.get("/")
    assert office.config.version
    for shown in (office.config.version, office.config.file, "2026-05-28T20:26:40Z", "ingen siden oppstart"):
        assert shown in page.text
    office.port.board.refused(["routes.yaml:3:4: <odd>"])
    page = await olga.get("/")
    assert "avvist" in page.text
    assert "routes.yaml:3:4: &lt;odd&gt;" in page.text
    assert (await olga.get("/api/status")).json == {
        "file": office.config.file,
        "version": office.config.version,
        "environment": "test",
        "since": "2026-05-28T20:26:40Z",
        "reload": {"at": "2026-05-28T20:26:40Z", "taken": False, "problems": ["routes.yaml:3:4: <odd>"]},
    }
    before = office.config.version
    office.clock.now += 60
    office.reload(environment="production")
    status = (await olga.get("/api/status")).json
    assert status["version"] != before
    assert status["environment"] == "production"
    assert status["reload"]["taken"]


async def test_problems_are_for_those_who_may_see_everything(office: Office) -> None:
    """A problem may name another municipality."""
    office.port.board.refused(["sorvik is odd"])
    nora = office.browser()
    await nora.enter(NORA)
    assert (await nora.get("/api/status")).json["reload"]["problems"] == []
    assert "sorvik is odd" not in (await nora.get("/")).text


async def test_refusal_is_a_page_for_people_and_json_for_programs(office: Office, olga: Browser) -> None:
    """Each in its own form."""
    page = await olga.get("/no/such/page")
    assert (page.status, page.headers["Content-Type"]) == (404, "text/html; charset=utf-8")
    assert "<h1>Siden finnes ikke.</h1>" in page.text
    assert "Logg ut" in page.text
    assert "Siden finnes ikke." in (await office.browser().get("/no/such/page")).text
    callback = await office.browser().get("/login/callback?state=x")
    assert callback.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "Innloggingen ble ikke godtatt" in callback.text
    assert (await olga.get("/api/nothing")).json["code"] == "not-found"


async def test_callback_repeats_nothing_of_its_address(office: Office) -> None:
    """What somebody wrote into a link is not shown, not even escaped."""
    page = await office.browser().get("/login/callback?state=x&error=evil&error_description=%3Cscript%3Ecall+us")
    assert page.status == 403
    assert "call us" not in page.text
    assert "evil" not in page.text
