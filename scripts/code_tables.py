"""Writes translators/terminology/tables: every version of VKP's code systems, with its days and its commit.

python scripts/code_tables.py HISTORY

HISTORY is a JSON file with the history of github.com/HL7Norway/Velferdsteknologi: by name of the code system, one row for every
commit that changed it, with `from`, `commit`, and `url` and `concepts` (code, display, parent), or `gone` where it was deleted.
"""

import json
import sys
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[1] / "translators" / "terminology" / "tables"
SOURCE = "github.com/HL7Norway/Velferdsteknologi, every commit of its CodeSystem folders"


def main(history: Path) -> None:
    """Write one file for each code system, and remove those of code systems that the history does not have."""
    found = files(json.loads(history.read_text(encoding="utf-8")))
    FOLDER.mkdir(exist_ok=True)
    for old in FOLDER.glob("*.json"):
        old.unlink()
    for name, text in found.items():
        (FOLDER / name).write_text(text, encoding="utf-8")


def files(history: dict[str, Any]) -> dict[str, str]:
    """Return the text of every file by its name."""
    return {f"{name}.json": _text(versions) for name, versions in sorted(history["systems"].items())}


def _text(versions: list[dict[str, Any]]) -> str:
    rows = ",\n".join(f"    {_json(table)}" for table in _tables(versions))
    url = next(version["url"] for version in versions if "url" in version)
    head = {"url": url, "source": SOURCE}
    fields = "".join(f"  {_json(name)}: {_json(value)},\n" for name, value in head.items())
    return f'{{\n{fields}  "tables": [\n{rows}\n  ]\n}}\n'


def _tables(versions: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return what stood from day to day; a file that only moved to another folder is the same table."""
    tables: list[dict[str, Any]] = []
    for version in versions:
        day = version["from"][:10]
        if "gone" in version:
            tables[-1]["until"] = day
            continue
        concepts = {code: display for code, display, _ in version["concepts"]}
        if tables and tables[-1]["until"] in (None, day) and tables[-1]["concepts"] == concepts:
            tables[-1]["until"] = None
            continue
        if tables:
            tables[-1]["until"] = day
        tables.append({"from": day, "until": None, "commit": version["commit"], "concepts": concepts})
    return tables


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
