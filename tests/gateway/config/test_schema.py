"""The table of keys is what the documentation is checked against, so it must say what the readers do."""

from gateway.config.load import load_text
from gateway.config.schema import ROOT, SECTIONS

SMALL = """\
version: 1
helseid: {issuer: https://sts.example, client_id: gateway, key_file: key.json}
upstreams:
  vkp: {kind: vkp, url: https://vkp.example}
  jft: {kind: jft, write_url: https://write.example, read_url: https://read.example, status: test}
municipalities:
vendors:
routes:
"""


def test_the_defaults_of_the_table_are_those_of_the_readers() -> None:
    """Writing every default of the top level into a file changes nothing."""
    written = "".join(
        f"{key.name}: {key.default}\n" for key in ROOT.keys.values() if key.default and key.name != "vendors"
    )
    plain, full = load_text(SMALL, "f"), load_text(SMALL + written, "f")
    assert plain.problems == full.problems == ()
    assert plain.config == full.config


def test_every_key_has_a_meaning_and_a_required_one_no_default() -> None:
    """What must be written has no value without that."""
    for section in SECTIONS:
        assert not [key for key in section.keys.values() if key.required and key.default is not None]
        assert all(key.meaning for key in section.keys.values())
