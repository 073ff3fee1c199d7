"""The file of who has which service: what it may say, and that what is wrong with it is told by line alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gateway.config.load import load
from gateway.config.service_file import FileUnusable, read_services, services_in
from translators.services import Service

if TYPE_CHECKING:
    from pathlib import Path

NUMBER, OTHER = "22750884907", "19779998080"


@pytest.mark.parametrize(
    "text",
    [
        f"{NUMBER},6,2022-06-20,\n{OTHER},2.2.3\n{NUMBER},rt,,2026-01-01\n",
        f"\ufeffNummer;Tjeneste;Fra;Til\r\n{NUMBER};06;2022-06-20;\r\n\r\n{OTHER};2.2.3;;\r\n{NUMBER};RT;;2026-01-01",
        f'"{NUMBER}","6","2022-06-20",""\n"{OTHER}","2.2.3"\n"{NUMBER}","RT","","2026-01-01"\n',
    ],
)
def test_each_line_is_a_service_with_or_without_a_heading(text: str) -> None:
    """By IPLOS number, level or ServiceCode; commas or semicolons."""
    assert services_in(text.encode()) == {
        NUMBER: [Service(iplos=6, start="2022-06-20"), Service(level="RT", end="2026-01-01")],
        OTHER: [Service(level="2.2.3")],
    }


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("12345678901,6", "the first column is no valid national identity number"),
        (NUMBER, "expected a national number, a service"),
        (f"{NUMBER},6,,,", "expected a national number, a service"),
        (f"{NUMBER},Trygghetsalarm", "the second column is neither"),
        (f"{NUMBER},100", "the second column is neither"),
        (f"{NUMBER},%.2.3", "the second column is neither"),
        (f"{NUMBER},6,2022-02-30", "a day is not written YYYY-MM-DD"),
        (f"{NUMBER},6,20220220", "a day is not written YYYY-MM-DD"),
        (f"{NUMBER},6,2022-02-20,2021-01-01", "the service ends before it begins"),
    ],
)
def test_line_that_is_wrong_is_told_by_its_number_and_makes_the_file_unusable(line: str, told: str) -> None:
    """Half a file would take services away from those in the other half."""
    with pytest.raises(FileUnusable) as caught:
        services_in(f"{OTHER},6\n{line}\n".encode())
    assert caught.value.problems[0].startswith(f"line 2: {told}")
    assert NUMBER not in str(caught.value)


def test_file_that_cannot_be_read_says_why_and_not_what(tmp_path: Path) -> None:
    """Missing, no file, not UTF-8, and wrong in many lines."""
    with pytest.raises(FileUnusable, match="cannot be read: No such file"):
        read_services(tmp_path / "missing.csv")
    with pytest.raises(FileUnusable, match="cannot be read: not a file"):
        read_services(tmp_path)
    with pytest.raises(FileUnusable, match="line 2 is not UTF-8"):
        services_in(f"{NUMBER},6\n".encode() + b"\xff")
    with pytest.raises(FileUnusable, match="80 more lines are wrong"):
        services_in(b"1,2\n" * 100)


ROUTES = """\
version: 1
helseid: {issuer: https://sts.example, client_id: gateway, key_file: key.json}
upstreams:
  vkp: {kind: vkp, url: https://vkp.example}
municipalities:
  nordfjell:
    name: Nordfjell kommune
    orgnr: "312229544"
    epj: {system: Gerica, generation: legacy}
    services_from: {file: services.csv}
routes:
  - {mode: legacy}
"""


def test_check_warns_of_a_file_that_cannot_be_used_and_takes_the_configuration(tmp_path: Path) -> None:
    """A gateway that starts with yesterday's services is better than none."""
    (tmp_path / "routes.yaml").write_text(ROUTES, encoding="utf-8")
    assert _warnings(tmp_path) == ['"services.csv": cannot be read: No such file or directory']
    (tmp_path / "services.csv").write_text(f"{NUMBER},6\n{OTHER},six\n", encoding="utf-8")
    (warning,) = _warnings(tmp_path)
    assert warning.startswith('"services.csv": line 2: the second column')
    (tmp_path / "services.csv").write_text(f"{NUMBER},6\n", encoding="utf-8")
    assert _warnings(tmp_path) == []


def _warnings(folder: Path) -> list[str]:
    found = load(str(folder / "routes.yaml"))
    assert found.config is not None
    return [problem.text for problem in found.problems if "services.csv" in problem.text]
