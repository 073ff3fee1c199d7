"""What `vkp-gateway doctor` finds of the gateway's own keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gateway.cli.doctor.installation.files import check_own_keys
from gateway.cli.doctor.installation.findings import Finding, FindingState
from gateway.config.load import load_text
from gateway.ledger.key_files import make, rotate

if TYPE_CHECKING:
    from pathlib import Path

TEXT = """\
version: 1
helseid: {issuer: https://sts.example, client_id: gateway, key_file: key.json}
upstreams:
  vkp: {kind: vkp, url: https://vkp.example}
  jft: {kind: jft, write_url: https://write.example, read_url: https://read.example, status: test}
municipalities:
  nordfjell: {name: Nordfjell kommune, orgnr: "312229544", epj: {system: Gerica, generation: legacy, reads: [jft]}}
routes:
  - {mode: legacy}
"""
NEW = "  - {municipality: nordfjell, information: [varsel], mode: new}\n"
NAMES = ["payload key", "lookup key", "canary key"]
OK, FAILED = FindingState.OK, FindingState.FAILED


def look(folder: Path, text: str = TEXT + NEW) -> list[Finding]:
    """Look at the keys of a configuration; each finding has advice unless all is well."""
    config = load_text(text, "routes.yaml").config
    assert config is not None
    found = check_own_keys(config, folder)
    assert [each.name for each in found] == NAMES
    assert all(bool(each.advice) is (each.state is not OK) for each in found)
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Make a folder with every key."""
    for kind, source in (("payload", "var/payload.keys"), ("lookup", "var/lookup.key"), ("canary", "var/canary.key")):
        make(kind, source, tmp_path, 1)
    return tmp_path


def test_keys_that_are_well_are_named_by_file_and_id(folder: Path) -> None:
    """And by nothing that is secret."""
    made = rotate("var/payload.keys", folder, 2)
    found = look(folder)
    assert {each.state for each in found} == {OK}
    assert found[0].text == f"var/payload.keys, key {made.current}, 1 older still open what they sealed"
    assert not [key for key in made.keys if key.key in found[0].text]


@pytest.mark.parametrize("mode", ["new", "canary, share: 5%"])
def test_missing_keys_fail_where_a_route_is_new(tmp_path: Path, mode: str) -> None:
    """Or is for some patients; the advice is the command that makes them."""
    found = look(tmp_path, TEXT + NEW.replace("new", mode))
    assert {each.state for each in found} == {FAILED}
    assert found[1].text == "var/lookup.key: there is no such file"
    assert all(each.advice.startswith("vkp-gateway keys init") for each in found)


def test_missing_keys_are_fine_while_no_route_is_new(tmp_path: Path) -> None:
    """Nothing is stored then."""
    found = look(tmp_path, TEXT)
    assert {each.state for each in found} == {OK}
    assert "no route has mode new" in found[0].text


def test_a_key_that_others_may_read_fails(folder: Path) -> None:
    """Its group too."""
    (folder / "var" / "canary.key").chmod(0o640)
    found = look(folder)
    assert [each.state for each in found] == [OK, OK, FAILED]
    assert "chmod 600" in found[2].text


def test_a_key_that_cannot_be_used_fails_even_where_none_is_needed(folder: Path) -> None:
    """No new one is advised: it would open nothing of what is stored."""
    (folder / "var" / "payload.keys").write_text("{}", encoding="utf-8")
    found = look(folder, TEXT)
    assert [each.state for each in found] == [FAILED, OK, OK]
    assert "keys init" not in found[0].advice


def test_a_key_of_the_environment_is_looked_at_too(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the gateway will find it."""
    text = TEXT + NEW + 'keys: {lookup: "${LOOKUP_KEY}"}\n'
    monkeypatch.delenv("LOOKUP_KEY", raising=False)
    assert look(folder, text)[1].text == "the environment variable in ${LOOKUP_KEY} is not set"
    monkeypatch.setenv("LOOKUP_KEY", (folder / "var" / "lookup.key").read_text(encoding="utf-8"))
    assert look(folder, text)[1].state is OK
