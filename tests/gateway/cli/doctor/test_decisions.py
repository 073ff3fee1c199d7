"""The decisions of `vkp-gateway doctor`: what each measure of an installation means, without any installation."""

from __future__ import annotations

import pytest
from joserfc.jwk import ECKey, RSAKey

from gateway.cli.doctor.installation import files, helseid, machine, servers
from gateway.cli.doctor.installation.findings import Finding, FindingState, table
from gateway.cli.doctor.installation.run import Part
from gateway.config.model import Address
from gateway.times import ahead_of

OK, WARNING, FAILED = FindingState.OK, FindingState.WARNING, FindingState.FAILED
TLS = "tls: {cert_file: server.pem, key_file: server.key}"
NOON = 1_800_000_000.0
DAY = 86_400


@pytest.mark.fact("helseid-fk4")
@pytest.mark.parametrize(
    ("before", "after", "said", "ahead"),
    [(100.0, 100.1, 100.0, 0.0), (100.9, 101.2, 100.0, 0.0), (103.5, 103.6, 100.0, 2.5), (95.0, 95.5, 100.0, -4.5)],
)
def test_a_difference_of_clocks_is_what_is_certain(before: float, after: float, said: float, ahead: float) -> None:
    """A Date has whole seconds, and an answer takes its time."""
    assert ahead_of(before, after, said) == pytest.approx(ahead)


@pytest.mark.parametrize(
    ("begins", "ends", "state"),
    [(-1, 31, OK), (-1, 29, WARNING), (-9, -0.01, FAILED), (1, 90, FAILED)],
)
def test_a_certificate_is_judged_by_its_days(begins: float, ends: float, state: FindingState) -> None:
    """A month ahead somebody should know."""
    assert files.lasting("x", "names", NOON + begins * DAY, NOON + ends * DAY, NOON).state is state


@pytest.mark.parametrize(
    ("mode", "state"), [(0o600, None), (0o400, None), (0o640, None), (0o660, WARNING), (0o604, FAILED), (0o777, FAILED)]
)
def test_a_secret_file_is_for_its_owner(mode: int, state: FindingState | None) -> None:
    """A group may read it, where a deployment needs that."""
    found = files.permissions("key", "key.json", 0o100_000 | mode)
    assert (found.state if found else None) is state


@pytest.mark.parametrize(
    ("key", "state"),
    [
        (ECKey.generate_key("P-521", {"kid": "a"}), OK),
        (ECKey.generate_key("P-256"), WARNING),
        (RSAKey.generate_key(2048, {"kid": "a"}), WARNING),
    ],
    ids=["P-521", "no kid", "short"],
)
def test_a_signing_key_has_an_id_and_a_length(key: ECKey | RSAKey, state: FindingState) -> None:
    """HelseID finds it by its kid."""
    assert files.signing_key(key).state is state


@pytest.mark.parametrize(
    ("required", "installed", "state"),
    [
        (["lxml>=6.1"], {"lxml": "6.1.2"}, OK),
        (["lxml>=6.1"], {"lxml": "6.0.9"}, FAILED),
        (["prometheus_client>=0.26"], {"prometheus-client": "0.30"}, OK),
        (["lxml>=6.1", "uvloop>=0.22; sys_platform != 'win32'"], {"lxml": "7"}, FAILED),
    ],
)
def test_libraries_are_there_and_new_enough(
    required: list[str], installed: dict[str, str], state: FindingState
) -> None:
    """As pyproject.toml asks for them."""
    assert machine.libraries(required, installed).state is state


@pytest.mark.parametrize(
    ("taken", "ours", "state"),
    [(None, False, OK), ("Address already in use", True, OK), ("Permission denied", False, FAILED)],
)
def test_a_port_is_free_or_ours(taken: str | None, ours: bool, state: FindingState) -> None:
    """Anything else fails."""
    assert machine.port("port", Address("127.0.0.1", 80), taken, ours=ours).state is state


def test_a_token_that_no_route_needs_yet_is_for_later() -> None:
    """Before a municipality is switched its token should work; until then nothing fails."""
    assert helseid.token("a", "s", "token refused: x", in_use=False).state is WARNING
    assert helseid.token("a", "s", "token refused: x", in_use=True).state is FAILED
    assert helseid.token("a", "s", None, in_use=True).state is OK


def test_client_is_not_blamed_where_helseid_was_not_asked() -> None:
    """What to look at is the way there."""
    refused = helseid.token("a", "s", "token refused: x", in_use=True)
    away = helseid.token("a", "s", "no connection: ConnectionRefusedError", in_use=True)
    assert ("client_id" in refused.advice, "client_id" in away.advice) == (True, False)
    assert "network" in away.advice


def test_the_table_says_what_to_do() -> None:
    """Below each thing that is not well."""
    parts = [
        Part("one", (Finding("first", OK, "is well"),)),
        Part("two", (Finding("second", FAILED, "is not", "mend it"),)),
    ]
    assert table(parts) == (
        "one\n  first   ok       is well\n\ntwo\n  second  FAILED   is not\n                   do: mend it"
    )


def test_a_name_that_senders_choose_is_no_failure() -> None:
    """Where Host passes, only they know what VKP's certificate is checked against."""
    server = servers.Server("upstream vkp", "vkp", 443, None, "vkp", is_certain=False)
    assert servers.unverified(server, "hostname mismatch").state is WARNING
