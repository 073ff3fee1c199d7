"""The documents say what the code does: settings, answers, commands, metrics, dependencies and links."""

import re
import tomllib
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from gateway.cli.main import main
from gateway.config.schema import SECTIONS, Section
from gateway.errors import WORDINGS, Fault
from gateway.observability import metrics
from gateway.pipeline.context import CorrelationIds

ROOT = Path(__file__).parents[2]
DOCS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


def _read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def _rows(section: Section) -> list[str]:
    return [
        f"| `{key.name}` | {key.meaning} | {'required' if key.required else f'`{key.default}`' if key.default else ''} |"
        for key in section.keys.values()
    ]


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.path or "top level")
def test_every_key_of_routes_yaml_is_in_the_configuration_page_with_meaning_and_default(section: Section) -> None:
    """What `check` accepts is what the page lists."""
    page = _read("docs/configuration.md")
    heading = f"### {section.path or 'top level'}\n"
    assert heading in page
    part = page.split(heading, 1)[1].split("\n### ", 1)[0]
    for row in _rows(section):
        assert row in part
    assert len(re.findall(r"^\| `", part, re.MULTILINE)) == len(section.keys)


@pytest.mark.parametrize("fault", Fault, ids=lambda fault: fault.value)
def test_every_fault_has_its_row_in_the_answers_page(fault: Fault) -> None:
    """The page gives each fault the status and code that a sender gets."""
    wording = WORDINGS[fault]
    assert f"| `{fault.value}` | {wording.status} | {wording.code} |" in _read("docs/answers.md")


def test_every_metric_is_in_the_operating_page() -> None:
    """Nobody has to read the code to know what can be alarmed on."""
    page = _read("docs/operating.md")
    for metric in metrics.REGISTRY.collect():
        name = metric.name + ("_total" if metric.type == "counter" else "")
        assert f"`{name}`" in page


def test_every_dependency_is_justified() -> None:
    """A dependency without a line in the page is one too many."""
    document = tomllib.loads(_read("pyproject.toml"))
    project = document["project"]
    more = (*project["optional-dependencies"].values(), *document["dependency-groups"].values())
    wanted = [*project["dependencies"], *(one for extra in more for one in extra)]
    page = _read("docs/dependencies.md").lower()
    for requirement in wanted:
        name = re.split(r"[>=<\[ ]", requirement)[0].lower()
        assert name == "vkp-gateway" or name in page


@pytest.mark.parametrize("path", DOCS, ids=lambda path: path.name)
def test_every_make_target_in_a_document_exists(path: Path) -> None:
    """A command that is copied from a page is one of the Makefile."""
    targets = set(re.findall(r"^([a-z-]+):", _read("Makefile"), re.MULTILINE))
    used = re.findall(
        r"(?:^|`)make (?:[A-Z]+=\S+ )?([a-z-]+)(?=[ `\n])", path.read_text(encoding="utf-8"), re.MULTILINE
    )
    assert set(used) <= targets


def test_every_lock_in_a_document_exists_and_each_is_described() -> None:
    """Whoever installs by a page finds the file that it names."""
    everything = "".join(path.read_text(encoding="utf-8") for path in DOCS if path.name != "CHANGELOG.md")
    named = set(re.findall(r"[\w/.-]+\.lock\b", everything))
    assert named == {f"locks/{path.name}" for path in ROOT.glob("locks/*.lock")}


def _commands_in(page: str) -> list[list[str]]:
    lines = re.findall(r"^(?: {3})?vkp-gateway ([^\n<]+)$", page, re.MULTILINE)
    return [line.split() for line in lines]


@pytest.mark.parametrize("path", DOCS, ids=lambda path: path.name)
def test_every_command_in_a_document_exists_with_its_options(path: Path) -> None:
    """A command that is copied from a page is understood."""
    for words in _commands_in(path.read_text(encoding="utf-8")):
        command = main.commands[words[0]]
        if isinstance(command, click.Group):
            command = command.commands[words[1]]
        known = {option for parameter in command.params for option in parameter.opts}
        used = {word for word in words[1:] if word.startswith("--")}
        assert used <= known, words


@pytest.mark.parametrize("command", sorted(main.commands))
def test_every_command_is_in_a_document(command: str) -> None:
    """No command is hidden from operators."""
    everything = "".join(path.read_text(encoding="utf-8") for path in DOCS)
    assert f"vkp-gateway {command}" in everything or f"make {command}" in everything


@pytest.mark.parametrize(
    "arguments",
    [
        ["check"],
        [
            "explain",
            "--municipality",
            "nordfjell",
            "--sender",
            "Evondos_E300_Nordfjell",
            "--information",
            "medisinering",
        ],
        [
            "translate",
            "--surface",
            "vkp-r4",
            "--to",
            "jft",
            "--municipality",
            "havnes",
            "translators/examples/quirks.json",
        ],
    ],
    ids=lambda arguments: arguments[0],
)
def test_the_commands_of_the_documents_work_with_the_demo_configuration(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the README shows is done without an error."""
    monkeypatch.chdir(ROOT)
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output


def test_the_municipality_that_the_readme_adds_is_accepted(tmp_path: Path) -> None:
    """The minute that the README promises is not spent on its own mistakes."""
    municipality, sender, route = re.findall(r"```yaml\n(.*?)```", _read("README.md"), re.DOTALL)
    text = _read("tests/docs/before.yaml")
    text = text.replace("municipalities:\n", "municipalities:\n" + _indented(municipality.split("\n", 1)[1], 2), 1)
    text = text.replace("senders:\n", "senders:\n" + _indented(sender, 10), 1)
    text = text.rstrip() + "\n" + _indented(route.split("\n", 1)[1], 2)
    changed = tmp_path / "routes.yaml"
    changed.write_text(text, encoding="utf-8")
    result = CliRunner().invoke(main, ["check", "--config", str(changed)])
    assert "0 errors, 0 warnings" in result.output, result.output


@pytest.mark.parametrize("path", DOCS, ids=lambda path: path.name)
def test_links_between_documents_lead_somewhere(path: Path) -> None:
    """A reader who follows a link arrives."""
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", path.read_text(encoding="utf-8")):
        assert (path.parent / target).exists(), target


def _indented(text: str, columns: int) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    least = min(len(line) - len(line.lstrip()) for line in lines)
    return "".join(" " * columns + line[least:] + "\n" for line in lines)


def test_the_help_of_every_command_is_a_sentence() -> None:
    """`--help` tells what a command does, in the first line."""
    for command in main.commands.values():
        assert isinstance(command, click.Command)
        assert (command.help or "").strip().splitlines()[0].rstrip().endswith((".", ";"))


def test_the_changelog_has_the_form_of_keep_a_changelog() -> None:
    """Versions from the newest on, each with its date, with known kinds of changes, each kind once; the newest is the package's own."""
    versions = re.split(r"^## ", _read("CHANGELOG.md"), flags=re.MULTILINE)[1:]
    heads = [version.splitlines()[0] for version in versions]
    assert heads[0] == "[Unreleased]"
    released = [re.fullmatch(r"\[(\d+)\.(\d+)\.(\d+)\] - (\d{4}-\d\d-\d\d)", head) for head in heads[1:]]
    numbers = [tuple(map(int, found.groups()[:3])) for found in released if found is not None]
    assert len(numbers) == len(released)
    assert numbers == sorted(numbers, reverse=True)
    assert ".".join(map(str, numbers[0])) == tomllib.loads(_read("pyproject.toml"))["project"]["version"]
    for version in versions:
        kinds = re.findall(r"^### (.+)$", version, re.MULTILINE)
        assert len(kinds) == len(set(kinds))
        assert set(kinds) <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def test_each_metric_has_one_row() -> None:
    """Of two, one is forgotten when the other is changed."""
    described = re.findall(r"^\| `(vkp_gateway_\w+)`", _read("docs/operating.md"), re.MULTILINE)
    assert sorted(described) == sorted(set(described))


@pytest.mark.parametrize("path", DOCS, ids=lambda path: path.name)
def test_every_metric_in_a_document_exists(path: Path) -> None:
    """An alarm that is copied from a page rings; what the change log tells of may be gone since."""
    collected = list(metrics.REGISTRY.collect())
    known = {f"{metric.name}_total" if metric.type == "counter" else metric.name for metric in collected}
    used = set(re.findall(r"\bvkp_gateway_\w+", path.read_text(encoding="utf-8")))
    assert path.name == "CHANGELOG.md" or used <= known


def test_references_in_examples_have_the_form_of_real_ones() -> None:
    """Ten hexadecimal digits of the process, and a number."""
    page = _read("docs/operating.md")
    shown = re.findall(r"^vkp-gateway (?:messages show|quarantine \w+|resend) ([0-9a-f-]{8,})", page, re.MULTILINE)
    assert shown
    form = re.compile(r"[0-9a-f]{10}-[0-9a-f]{6}")
    assert form.fullmatch(CorrelationIds().next())
    assert all(form.fullmatch(each) for each in shown)


def test_every_event_of_the_log_is_explained() -> None:
    """Whoever sees one in the log, or looks for what to alarm on, finds what it says; defects are explained together."""
    sources = (path.read_text(encoding="utf-8") for path in ROOT.glob("gateway/**/*.py"))
    call = re.compile(r"\blog\.(?:debug|info|warning|error|exception|critical)\(\s*\"([^\"]+)\"")
    events = {name for source in sources for name in call.findall(source) if not name.endswith(".defect")}
    pages = "".join(path.read_text(encoding="utf-8") for path in ROOT.glob("docs/*.md"))
    assert len(events) > 100
    assert {name for name in events if f"`{name}`" not in pages} == set()
