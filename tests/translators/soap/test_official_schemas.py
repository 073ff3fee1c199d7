"""Our schemas beside the official ones, on the official examples and what becomes of them by one change.

They are in the folder that VKP_XML names (`xsd` and `examples`), and not ours to ship.
"""

import os
from pathlib import Path

import pytest
from lxml import etree

from translators.soap import schema

FOLDER = Path(os.environ["VKP_XML"])


def _examples() -> list[Path]:
    """Return  examples."""
    return sorted((FOLDER / "examples").rglob("*.xml"))


def _official() -> etree.XMLSchema:
    """Return  official."""
    files = ("MsgHead-v1_2", "apprec-v1.0", "apprec-v1.1", "dialogmelding-v1.0", "dialogmelding-v1.1")
    paths = [FOLDER / "xsd" / f"{name}.xsd" for name in files]
    imports = "".join(
        f'<xs:import namespace="{etree.parse(str(path)).getroot().get("targetNamespace")}" schemaLocation="{path.as_uri()}"/>'
        for path in paths
    )
    return etree.XMLSchema(
        etree.fromstring(f'<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema">{imports}</xs:schema>')
    )


def _mutants(root: etree._Element) -> list[etree._Element]:
    """Return the document without, with twice, and with a strange name in place of each of its first elements."""
    found = []
    for index in range(1, min(len(list(root.iter(etree.Element))), 60)):
        for change in ("drop", "twice", "rename", "attribute"):
            copy = etree.fromstring(etree.tostring(root))
            at = list(copy.iter(etree.Element))[index]
            parent = at.getparent()
            assert parent is not None
            if change == "drop":
                parent.remove(at)
            elif change == "twice":
                parent.insert(parent.index(at), etree.fromstring(etree.tostring(at, with_tail=False)))
            elif change == "rename":
                at.tag = f"{{{etree.QName(at).namespace}}}Strange"
            else:
                at.set("Strange", "1")
            found.append(copy)
    return found


@pytest.mark.parametrize("path", _examples(), ids=lambda path: path.name)
def test_our_schemas_take_and_refuse_what_the_official_ones_do(path: Path) -> None:
    """Our schemas take and refuse what the official ones do."""
    official, root = _official(), etree.parse(str(path)).getroot()
    for each in (root, *_mutants(root)):
        in_content_of_1_0 = b"dialog/2006-10-11" in etree.tostring(each)
        ours = schema.messages().fault(each) is None
        # Ours take any format of Content that they do not know, which is refused when it is read.
        is_strange = any(etree.QName(child).localname == "Strange" for child in each.iterfind(".//{*}Content/*"))
        assert ours == official.validate(each) or (ours and (in_content_of_1_0 or is_strange))
