"""The suite can pass and can fail: a bare pipe passes what is about unchanged bytes, and every change is seen."""

import re

import pytest

from gateway.cli.doctor.checks import GROUPS
from gateway.cli.doctor.command import run
from gateway.cli.doctor.harness import Check, Result
from gateway.cli.doctor.stage import StageMaker
from tests.gateway.cli.doctor.conftest import Change, pipe, unchanged

CHECKS = [check for group in GROUPS for check in group.checks]
BYTES = ("request fields", "request line", "request bodies", "answer heads", "answer bodies", "streaming")
"""The groups that ask for unchanged bytes, which a pipe gives."""
UP_TO_BUFFERS = {"a sender that does not read holds the upstream back"}
"""How much a pipe of the test's own holds back depends on the kernel's buffers, and so on the machine's load."""
NOT_BY_A_PIPE = {"an answer of HTTP/1.0 passes", "a sender of HTTP/1.0 gets no chunks"}


def _in(*groups: str) -> list[Check]:
    return [check for check in CHECKS if check.group in groups]


def _named(*names: str) -> list[Check]:
    found = [check for check in CHECKS if check.name in names]
    assert {check.name for check in found} == set(names)
    return found


def _failed(results: list[Result]) -> set[str]:
    return {result.check.name for result in results if result.difference is not None}


def test_there_are_enough_checks_and_no_two_of_a_group_share_a_name() -> None:
    """A name tells which check failed."""
    assert len(CHECKS) >= 60
    assert len({(check.group, check.name) for check in CHECKS}) == len(CHECKS)


@pytest.mark.slow
def test_a_bare_pipe_passes_what_is_about_unchanged_bytes() -> None:
    """The checks ask for nothing but the same bytes, save where the versions of HTTP differ."""
    results = run(_in(*BYTES), pipe())
    differences = {result.check.name: result.difference for result in results}
    assert _failed(results) - UP_TO_BUFFERS == NOT_BY_A_PIPE, {name: differences[name] for name in _failed(results)}


@pytest.mark.slow
def test_a_bare_pipe_fails_what_a_gateway_must_do_itself() -> None:
    """It refuses nothing, removes no field and uses no connection again."""
    checks = _in("refused heads", "refused framing") + [
        check for check in _in("fields of one connection") if check.name.endswith("removed")
    ]
    assert _failed(run(checks, pipe(), seconds=1.0)) == {check.name for check in checks}
    pooled = _named("an upstream connection is used again")
    assert _failed(run(pooled, pipe(), seconds=1.0)) == {check.name for check in pooled}


@pytest.mark.slow
def test_no_check_passes_when_nothing_is_sent_on(hopeless: StageMaker) -> None:
    """Neither silence nor a yes to everything is taken for a right answer."""
    results = run(CHECKS, hopeless, workers=8, seconds=1.0)
    assert [result.check.name for result in results] == [check.name for check in CHECKS]
    assert {result.check.name for result in results if result.difference is None} == set()


def _lower_names(data: bytes) -> bytes:
    return re.sub(rb"(?m)^[A-Za-z-]+:", lambda found: found[0].lower(), data)


def _host_first(data: bytes) -> bytes:
    line, _, rest = data.partition(b"\r\n")
    host = re.search(rb"(?m)^Host: .*\r\n", rest)
    return line + b"\r\n" + host[0] + rest.replace(host[0], b"", 1) if host else data


def _only_utf_8(data: bytes) -> bytes:
    return data.decode("utf-8", "ignore").encode()


def _one_length(data: bytes) -> bytes:
    return data if b"Content-Length" in data else data.replace(b"\r\n\r\n", b"\r\nContent-Length: 0\r\n\r\n", 1)


def _replaced(old: bytes, new: bytes) -> Change:
    return lambda data: data.replace(old, new)


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (_lower_names, "names keep their letter case"),
        (_host_first, "fields keep their order"),
        (_host_first, "host stays last when it came last"),
        (_replaced(b"\r\nx-twice: a\r\n", b"\r\n"), "fields of one name stay apart and in order"),
        (_only_utf_8, "Latin-1 bytes in a value pass"),
        (_replaced(b"X-Empty:\r\n", b""), "an empty value passes"),
        (_replaced(b"  ", b" "), "blanks and tabs inside a value stay"),
        (_replaced(b":8443", b""), "host passes as it was written"),
        (_replaced(b"\r\n\r\n", b"\r\nVia: 1.1 x\r\n\r\n"), "a bare request gets no field added"),
        (bytes.lower, "letter case of the path stays"),
        (_replaced(b"%2f", b"%2F"), "escapes keep the case of their digits"),
        (_replaced(b"//", b"/"), "double slashes stay"),
        (_replaced(b"? ", b" "), "a question mark alone stays"),
        (_one_length, "a POST without body and length gets none"),
        (_replaced(b"X-Checksum: abc\r\n", b""), "trailers pass"),
        (_replaced(b"Expect: 100-continue\r\n", b""), "expect is asked and answered by the upstream"),
    ],
)
def test_a_request_that_was_changed_is_seen(change: Change, name: str) -> None:
    """Each check fails for the change that it is there to find."""
    checks = [check for check in _named(name) if check.group.startswith("request")]
    assert _failed(run(checks, pipe(up=change), seconds=1.0)) == {name}


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (_replaced(b" Nearly", b""), "status 299 passes"),
        (_only_utf_8, "Latin-1 bytes in a reason pass"),
        (_lower_names, "names keep their letter case"),
        (_replaced(b"set-cookie: b=2\r\n", b""), "cookies stay apart and in order"),
        (
            _replaced(b"\r\n\r\nok", b"\r\nServer: x\r\n\r\nok"),
            "a bare answer gets no Date, Server, Content-Type or Via",
        ),
        (
            _replaced(b"HTTP/1.1 103 Early Hints\r\n", b"HTTP/1.1 100 Continue\r\n"),
            "an early hint passes before the answer",
        ),
        (_replaced(b"X-Sum: abc\r\n", b""), "a body in chunks stays in chunks with trailers"),
        (_replaced(b"Content-Length: 4321\r\n", b""), "status 304 keeps its length and has no body"),
        (_replaced(b"until the end", b"until the en"), "a body up to the end of the connection passes"),
    ],
)
def test_an_answer_that_was_changed_is_seen(change: Change, name: str) -> None:
    """Likewise on the way back."""
    checks = [check for check in _named(name) if check.group.startswith("answer")]
    assert _failed(run(checks, pipe(unchanged, change), seconds=1.0)) == {name}
