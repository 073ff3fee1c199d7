r"""Makes translators/fhir/code_system_urls.json: the URLs in R4 of HL7's own code systems, by those they had in STU3.

    python scripts/code_system_urls.py hapi-fhir-validation-resources-dstu3-8.8.0.jar \\
        hapi-fhir-validation-resources-r4-8.8.0.jar translators/fhir/code_system_urls.json

`code_rules.py` says where the jars come from. The codes that R4's system lacks are named: under the new URL they would say what
nobody defined. Version 2 and 3 tables are told by their URLs, without a table.
"""

import json
import sys
from pathlib import Path

from code_rules import FHIR, Definitions, definitions
from lxml import etree

OLD, NEW = "http://hl7.org/fhir/", "http://terminology.hl7.org/CodeSystem/"


def main() -> None:
    """Read the jars in the first two arguments, write the table to the third."""
    stu3, r4, target = definitions(Path(sys.argv[1])), definitions(Path(sys.argv[2])), Path(sys.argv[3])
    found = {url: new for url in sorted(stu3.code_systems) if (new := _renewed(url, r4)) is not None}
    lacking = {url: sorted(_codes(stu3.code_systems[url]) - _codes(r4.code_systems[new])) for url, new in found.items()}
    rows = ",\n".join(f"{json.dumps(old)}: {json.dumps(new)}" for old, new in found.items())
    lacks = ",\n".join(f"{json.dumps(old)}: {json.dumps(codes)}" for old, codes in lacking.items() if codes)
    source = "CodeSystem.url of FHIR 3.0.2 and 4.0.1, HL7 (CC0)"
    target.write_text(
        f'{{"source": {json.dumps(source)},\n"systems": {{\n{rows}\n}},\n"lacks": {{\n{lacks}\n}}}}\n', encoding="utf-8"
    )
    print(f"{len(found)} code systems -> {target}")


def _renewed(url: str, r4: Definitions) -> str | None:
    if url in r4.code_systems or not url.startswith(OLD) or url.startswith((f"{OLD}v2/", f"{OLD}v3/")):
        return None
    new = NEW + url.removeprefix(OLD)
    return new if new in r4.code_systems else None


def _codes(system: etree._Element) -> set[str]:
    return {str(one.get("value")) for one in system.iterfind(f".//{FHIR}concept/{FHIR}code")}


if __name__ == "__main__":
    main()
