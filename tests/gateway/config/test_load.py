"""Loading a file: what is read, what is left out, and files that cannot be read."""

import gc
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from gateway.config.load import load, load_text
from gateway.config.model import Address, Config, Environment, KeyFiles, Limits, Retention
from gateway.config.plans import Freeze, Gate, RollBackWhen, Sunset
from gateway.config.upstreams import (
    Breaker,
    Connections,
    Follow,
    Forwarded,
    Grant,
    JftUpstream,
    Scopes,
    ServiceStatus,
    UpstreamTls,
    VkpClient,
    VkpUpstream,
)
from gateway.config.yaml_nodes import MOST_BYTES
from gateway.errors import Fault
from gateway.model import JOURNALING, Information, Mode, Place, Rate
from gateway.pipeline.translate import settings
from gateway.routing.route import AnswerWhen, OnOutage, Route, Unclear
from gateway.times import DAY
from translators.national_number import TEST_KINDS

CASES = Path(__file__).parent / "cases"
NO_NEED, NO_SERVICE = Fault.NO_NEED, Fault.NO_SERVICE


def _config(case: str) -> Config:
    """Load the YAML of a case that has no errors."""
    text = (CASES / f"{case}.case").read_text(encoding="utf-8").split("----------\n")[0]
    loaded = load_text(text, "routes.yaml")
    assert loaded.config is not None, loaded.problems
    return loaded.config


def _only_problem(path: Path) -> str:
    """Return the one problem of a file, without the path before it."""
    loaded = load(str(path))
    assert loaded.config is None
    assert loaded.table is None
    (problem,) = loaded.problems
    return str(problem).removeprefix(str(path))


def test_what_is_left_out_has_its_default() -> None:
    """The smallest file gives the defaults that the form promises."""
    config = _config("sound-small")
    assert config.environment is Environment.TEST
    assert (config.listen.data, config.listen.admin) == (Address("127.0.0.1", 8080), Address("127.0.0.1", 8081))
    assert config.limits.body == 1_000_000
    assert config.limits.request_timeout == 90
    assert config.limits.rate_per_sender == Rate(50, 1)
    assert config.unrecognised_passes
    assert config.unrecognised_paths == ("/epj/", "/ws/")
    assert config.patient_numbers_also == frozenset()
    assert config.helseid.audience == "nhn:vkp"
    assert config.helseid.multi_tenant
    assert config.helseid.assertion_field == "assertion_details"
    assert config.helseid.accept_bearer_with_cnf
    assert not config.verify_in_legacy
    assert config.vendors == {}


def test_what_is_left_out_of_the_ledger_has_the_defaults_of_the_types() -> None:
    """Files and types are two ways to say nothing, and mean the same."""
    config = _config("sound-whole")
    assert config.limits == Limits(1_000_000, 90, Rate(50, 1))
    assert (config.keys, config.retention) == (KeyFiles(), Retention())
    (jft,) = [one for one in config.upstreams.values() if isinstance(one, JftUpstream)]
    assert (jft.breaker, jft.follow) == (Breaker(), Follow())
    (vkp,) = [one for one in config.upstreams.values() if isinstance(one, VkpUpstream)]
    assert vkp.clients == ()
    policies = {(one.answer, one.on_outage, one.unclear, one.acknowledge_within) for one in config.routes}
    assert policies == {(AnswerWhen.ACCEPTED, OnOutage.REFUSE, Unclear.QUARANTINE, DAY)}


def test_what_is_written_of_the_ledger_is_read() -> None:
    """Keys, times and bounds arrive in the definitions."""
    kept = _config("retention")
    assert kept.retention == Retention(14 * DAY, 365 * DAY, DAY / 2, 3650 * DAY)
    assert (kept.limits.backlog, kept.limits.duplicate_window, kept.limits.journaled_wait) == (500, 365 * DAY, 5)
    assert _config("keys").keys == KeyFiles("${PAYLOAD_KEYS}", "secrets/lookup.key", "var/canary.key")


def test_the_policies_of_a_route_are_read() -> None:
    """Each by itself; what a route leaves out has its default."""
    found = [(one.answer, one.on_outage, one.unclear, one.acknowledge_within) for one in _config("policies").routes]
    assert found[1:] == [
        (AnswerWhen.ACCEPTED, OnOutage.HOLD, Unclear.RESEND, 7200),
        (AnswerWhen.JOURNALED, OnOutage.REFUSE, Unclear.QUARANTINE, DAY),
        (AnswerWhen.ACCEPTED, OnOutage.HOLD, Unclear.QUARANTINE, DAY),
    ]


def test_what_canaries_and_rehearsals_take_is_read() -> None:
    """Shares are parts of one; senders are called what envelopes call them, whichever identifier the file has."""
    rehearsal, varsel, notat, tilsyn = _config("canary-and-rehearse").routes[2:]
    assert (rehearsal.mode, rehearsal.sample, rehearsal.losses) == (Mode.REHEARSE, 0.1, ("Flag.text",))
    assert (varsel.mode, varsel.share, varsel.sample) == (Mode.CANARY, 0.25, 1.0)
    assert (varsel.always, varsel.never) == (("Sky_Nordfjell",), ("Dignio_Nordfjell",))
    assert (varsel.on_outage, varsel.unclear, varsel.acknowledge_within) == (OnOutage.HOLD, Unclear.RESEND, 7200)
    assert (notat.share, notat.answer, notat.always) == (0.005, AnswerWhen.JOURNALED, ())
    assert tilsyn.share == 1.0


def test_plans_are_read() -> None:
    """Cutovers with what they set, freezes and the end of VKP arrive in the definitions."""
    config = _config("plans")
    (plan,) = config.cutovers.values()
    assert (plan.name, plan.at) == ("nordfjell-1", datetime(2026, 12, 1, 5, tzinfo=UTC))
    assert plan.gate == Gate(200, 0.995, 7 * DAY)
    assert plan.roll_back_when == RollBackWhen(0.05, 20, 900, 0.5)
    assert (plan.approvals, plan.place) == (2, Place("routes.yaml", 14, 3))
    (route,) = plan.routes
    assert (route.municipality, route.mode, route.on_outage) == ("nordfjell", Mode.NEW, OnOutage.HOLD)
    assert route.information == {Information.NOTAT, Information.TILSYN}
    assert route.place == Place("routes.yaml", 17, 9)
    begins, ends = datetime(2026, 12, 19, 23, tzinfo=UTC), datetime(2027, 1, 4, tzinfo=UTC)
    assert config.freezes == (Freeze(begins, ends, "Jul.", Place("routes.yaml", 22, 5)),)
    assert config.sunset == Sunset(date(2026, 9, 1), date(2028, 3, 31), headers=True)


def test_reloads_are_guarded_in_production_unless_the_file_says_otherwise() -> None:
    """Left out it follows the environment."""
    assert [_config(one).guard_reload for one in ("sound-small", "plans", "plans-in-production")] == [False, True, True]
    text = (CASES / "plans-in-production.case").read_text(encoding="utf-8").split("-----\n")[0].rstrip("-")
    config = load_text(f"{text}guard_reload: false\n", "routes.yaml").config
    assert config is not None
    assert not config.guard_reload


def test_a_file_without_plans_has_none() -> None:
    """Left out and empty are the same."""
    for config in (_config("sound-small"), _config("plans-empty-is-fine")):
        assert (config.cutovers, config.freezes, config.sunset) == ({}, (), None)


def test_what_is_written_is_read() -> None:
    """Every setting of the form arrives in the definitions."""
    config = load_text(WRITTEN, "routes.yaml").config
    assert config is not None
    assert config.environment is Environment.PRODUCTION
    assert config.listen.data == Address("0.0.0.0", 80)  # noqa: S104 # read, not bound
    assert config.listen.admin == Address("::1", 81)
    assert config.limits.body == 2 * 1024 * 1024
    assert config.limits.request_timeout == 0.5
    assert config.limits.rate_per_sender == Rate(120, 60)
    assert not config.unrecognised_passes
    assert config.unrecognised_paths == ("/epj/",)
    assert config.patient_numbers_also == {"fh", "plus-80"}
    assert config.helseid.issuer == "https://sts.example/realm/"
    assert config.helseid.key_file == "${JWK}"
    assert not config.helseid.multi_tenant
    assert not config.helseid.accept_bearer_with_cnf
    assert config.verify_in_legacy
    assert config.upstreams == {
        "old": VkpUpstream(
            "old",
            "https://vkp.example",
            "vkp.example",
            "name.example",
            UpstreamTls("ca.pem", "own.pem", "own.key"),
            Connections(7, 1.0, 60.0, 2.0, 3.0, 0.5),
            Forwarded.X_FORWARDED,
            True,  # as the file has it
            Place("routes.yaml", 18, 3),
            (VkpClient("nordfjell", "dignio", "vkp-client", "vkp.json", "nhn:vkp", Place("routes.yaml", 18, 232)),),
        ),
        "journal": JftUpstream(
            "journal",
            "https://write.example:8443",
            "https://read.example",
            Scopes("w", "nhn:jft/api"),
            ServiceStatus.PRODUCTION,
            Place("routes.yaml", 19, 3),
            UpstreamTls(None, None, None),
            Grant.CLIENT_CREDENTIALS,
            Breaker(3, 1.0, 1.0),
            Follow(5.0, 7200.0, Rate(600, 3600)),
        ),
    }


WRITTEN = """\
version: 1
environment: production
listen: {data: 0.0.0.0:80, admin: "[::1]:81"}
store: postgresql://gateway@db/gateway
limits: {body: 2MiB, request_timeout: 500ms, rate_per_sender: 120/m}
unrecognised: refuse
unrecognised_paths: [/epj/]
patient_numbers: {also: [fh, plus-80]}
helseid:
  issuer: https://sts.example/realm/
  client_id: gateway
  key_file: "${JWK}"
  tenancy: single
  bearer_with_cnf: refuse
admit:
  legacy: verify
upstreams:
  old: {kind: vkp, url: https://vkp.example/, host: vkp.example, sni: name.example, forwarded: x-forwarded, via: true, tls: {ca_file: ca.pem, cert_file: own.pem, key_file: own.key}, connections: {most: 7, idle: 1s, age: 1m, connect: 2s, first_byte: 3s, silence: 500ms}, clients: [{municipality: nordfjell, vendor: dignio, client_id: vkp-client, key_file: vkp.json, scope: nhn:vkp}]}
  journal:
    kind: jft
    write_url: https://write.example:8443
    read_url: https://read.example
    scopes: {write: w}
    status: production
    breaker: {failures: 3, pause: 1s, longest: 1s}
    follow: {first: 5s, longest: 2h, budget: 600/h}
municipalities: {nordfjell: {name: N, orgnr: "312229544", epj: {system: Gerica, generation: legacy}}}
vendors: {dignio: {name: D, systems: {prevent: {name: P, senders: []}}}}
routes: [{mode: closed, text: "Nei."}]
"""


def test_municipalities_vendors_and_senders_are_read() -> None:
    """Short names, full names, identifiers and places arrive as written."""
    config = _config("sound-whole")
    havnes = config.municipalities["havnes"]
    assert (havnes.name, havnes.her_ids, havnes.place) == ("Havnes kommune", ("85441",), Place("routes.yaml", 12, 3))
    assert (havnes.epj.new_generation, havnes.epj.reads, havnes.epj.feeds) == (True, ("jft",), ("pit", "okt"))
    assert config.vendors["dignio"].systems == {"prevent": "Dignio Prevent"}
    first, second = config.senders
    assert (first.vendor, first.system, first.vkp_id, first.her_id) == (
        "dignio",
        "prevent",
        "Dignio_Nordfjell",
        "135233",
    )
    assert first.municipalities == frozenset({"nordfjell"})
    assert first.place == Place("routes.yaml", 24, 13)
    assert second.service_codes == ("RT", "TA")
    assert second.key == "Sky_Nordfjell"


def test_what_becomes_of_unknown_codes_and_of_events_that_are_not_to_be_journaled_reaches_the_translators() -> None:
    """The one by municipality, the other for all; codes are refused and events acknowledged where the file does not say."""
    found = {}
    for case in ("sound-whole", "unknown-codes-and-not-to-be-journaled"):
        config = _config(case)
        for municipality in config.municipalities.values():
            wanted = settings(config, TEST_KINDS, municipality=municipality, sender=None, route=None)
            found[case, municipality.key] = (wanted.unknown_codes, wanted.not_to_be_journaled)
    assert found == {
        ("sound-whole", "nordfjell"): ("refuse", "acknowledge"),
        ("sound-whole", "havnes"): ("refuse", "acknowledge"),
        ("unknown-codes-and-not-to-be-journaled", "nordfjell"): ("pass", "refuse"),
        ("unknown-codes-and-not-to-be-journaled", "havnes"): ("refuse", "refuse"),
    }


def test_a_sender_for_all_municipalities_names_none() -> None:
    """`municipalities: all` is None, not an empty set."""
    assert _config("municipalities-all-in-test").senders[0].municipalities is None


def test_a_route_keeps_which_types_a_group_brought() -> None:
    """A type that is named beside its group is not counted as brought by the group."""
    routes = f"routes:\n  - {{information: [journaling, varsel, pasientinfo], mode: closed, text: Nei.}}\n{HEAD}"
    config = load_text(routes, "routes.yaml").config
    assert config is not None
    varsel, pasientinfo = Information.VARSEL, Information.PASIENTINFO
    assert config.routes == (
        Route(
            None,
            None,
            None,
            JOURNALING | {pasientinfo},
            JOURNALING - {varsel},
            Mode.CLOSED,
            "Nei.",
            Place("routes.yaml", 2, 5),
        ),
    )


HEAD = """\
version: 1
unrecognised: refuse
helseid: {issuer: https://sts.example, client_id: gateway, key_file: key.json}
upstreams: {}
municipalities: {}
"""


def test_yaml_traps_stay_text() -> None:
    """NO, a leading zero, a date and yes are what they look like."""
    config = _config("yaml-traps-stay-text")
    no = config.municipalities["NO"]
    assert (no.name, no.epj.system, config.routes[0].text) == ("2026-01-01", "0123", "yes")


def test_a_byte_order_mark_is_not_part_of_the_file() -> None:
    """Editors that write one do not move the columns."""
    (problem,) = load_text("\ufeffroutes: [\n", "routes.yaml").problems
    assert problem.place == Place("routes.yaml", 2, 1)
    assert load_text(f"\ufeff{HEAD}routes: []\n", "routes.yaml").config is not None


def test_a_file_is_named_as_it_was_given(tmp_path: Path) -> None:
    """Problems and places carry the path that the person wrote."""
    path = tmp_path / "routes.yaml"
    path.write_text(f"{HEAD}routes: []\n", encoding="utf-8")
    loaded = load(str(path))
    assert loaded.config is not None
    assert loaded.config.file == str(path)


def test_a_missing_file_is_a_problem(tmp_path: Path) -> None:
    """A wrong path is told like any other fault."""
    assert _only_problem(tmp_path / "none.yaml") == ":1:1: cannot be read: No such file or directory"
    assert _only_problem(tmp_path) == ":1:1: cannot be read: not a file"
    assert str(load("a\0b").problems[0]).endswith(":1:1: cannot be read: no file is called so: a NUL is in its name")


def test_bytes_that_are_not_utf_8_are_a_problem(tmp_path: Path) -> None:
    """The place counts characters, not bytes."""
    path = tmp_path / "routes.yaml"
    path.write_bytes("version: 1\n# ø ".encode() + b"\xf8\n")
    assert _only_problem(path) == ":2:5: byte 0xF8 is not UTF-8"


def test_characters_that_yaml_forbids_are_a_problem() -> None:
    """A control character or a lone surrogate is named with its place."""
    problems = [load_text(text, "f").problems[0] for text in ("a: 1\nb: \x07\n", "name: \ud800")]
    assert [str(one) for one in problems] == [
        "f:2:4: character U+0007 is not allowed",
        "f:1:7: character U+D800 is not allowed",
    ]


def test_a_file_that_is_too_large_is_a_problem(tmp_path: Path) -> None:
    """Neither the bytes nor the text are looked at beyond the limit."""
    path = tmp_path / "routes.yaml"
    path.write_bytes(b"#" * (MOST_BYTES + 1))
    assert _only_problem(path) == ":1:1: larger than 16 MiB"
    assert [one.text for one in load_text("#" * (MOST_BYTES + 1), "f").problems] == ["larger than 16 MiB"]


@pytest.mark.parametrize("text", ["[" * 200_000, "{a: " * 200_000, "- " * 200_000, "? " * 200_000])
def test_deep_nesting_is_refused_before_a_tree_is_built(text: str) -> None:
    """The composer of libyaml recurses in C: without this the process would end."""
    assert [one.text for one in load_text(text, "f").problems] == ["nested deeper than 40 levels"]


def test_the_collector_of_garbage_runs_again_afterwards() -> None:
    """Loading pauses it, and a process that had switched it off keeps it off."""
    assert gc.isenabled()
    load_text("version: 1\n", "f")
    assert gc.isenabled()
    gc.disable()
    try:
        load_text("version: 1\n", "f")
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_a_file_for_a_whole_country_has_no_problems(large: Callable[[int, int], str]) -> None:
    """The generator of large files and the rules agree; a benchmark measures the same file."""
    loaded = load_text(large(60, 5), "routes.yaml")
    assert loaded.problems == ()
    assert loaded.config is not None
    assert (len(loaded.config.municipalities), len(loaded.config.senders)) == (60, 300)


def test_need_that_is_not_fulfilled_has_one_answer_whatever_it_fails_by() -> None:
    """A sender that was told another code for it before is told that one for both."""
    text = (CASES / "sound-small.case").read_text(encoding="utf-8").split("----------\n")[0]
    told = {}
    for rows in ("", "no-need: {status: 403}", "no-need: {status: 403}, no-service: {code: '1.4'}"):
        config = load_text(f"{text}\nanswers: {{{rows}}}\n", "routes.yaml").config
        assert config is not None
        told[rows] = [(config.wordings[each].status, config.wordings[each].code) for each in (NO_NEED, NO_SERVICE)]
    assert list(told.values()) == [
        [(400, "1.3"), (400, "1.3")],
        [(403, "1.3"), (403, "1.3")],
        [(403, "1.3"), (400, "1.4")],
    ]
