"""What is collected of the tests of the translators."""

import os

import pytest

from translators.fhir.plan import complete, from_stu3, within_r4

collect_ignore = [] if os.environ.get("VKP_EXAMPLES") else ["test_examples.py"]


@pytest.fixture(scope="session", autouse=True)
def plans() -> None:
    """Make the plans of all types: some tests go through them."""
    complete(within_r4())
    complete(from_stu3())
