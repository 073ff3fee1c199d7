"""What VKP tolerates and a strict service does not, each with the rule that corrects it."""

import pytest

from translators.fhir.corrections import corrected

RIGHT = "urn:uuid:7c1e0b52-93d4-4a8e-b6f0-5a2d3c4e0001"


@pytest.mark.parametrize("version", ["", "/_history/2"])
def test_link_to_a_version_stays_one_of_the_same_resource(version: str) -> None:
    """What is corrected of the resource's own URL is corrected of the link too, and nothing else."""
    assert corrected("Reference", "reference", RIGHT + version) is None
    for wrong in (RIGHT.upper().replace("URN:UUID", "urn:uuid"), "urn:uuid:alarm-1"):
        url = corrected("Bundle.entry", "fullUrl", wrong)
        link = corrected("Reference", "reference", wrong + version)
        assert url is not None
        assert link is not None
        assert link.value == url.value + version
