"""Writes the keys of routes.yaml into docs/configuration.md, from what `check` itself reads.

python scripts/configuration_page.py
"""

from pathlib import Path

from gateway.config.schema import SECTIONS, Key, Section

PAGE = Path(__file__).parents[1] / "docs" / "configuration.md"
HEADING = "## Keys\n"


def main() -> None:
    """Replace everything below the heading."""
    before = PAGE.read_text(encoding="utf-8").split(HEADING)[0]
    PAGE.write_text(before + HEADING + "".join(f"\n{_part(section)}" for section in SECTIONS), encoding="utf-8")


def _part(section: Section) -> str:
    rows = "".join(f"| `{key.name}` | {key.meaning} | {_default(key)} |\n" for key in section.keys.values())
    later = ", ".join(f"`{name}`" for name in sorted(section.later))
    last = f"\nNot supported yet: {later}.\n" if later else ""
    return f"### {section.path or 'top level'}\n\n| key | meaning | default |\n|---|---|---|\n{rows}{last}"


def _default(key: Key) -> str:
    if key.required:
        return "required"
    return f"`{key.default}`" if key.default else ""


if __name__ == "__main__":
    main()
