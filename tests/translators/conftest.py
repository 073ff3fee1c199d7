"""What is collected of the tests of the translators."""

import os

import pytest

from translators.translate import prepare

collect_ignore = [] if os.environ.get("VKP_EXAMPLES") else ["test_examples.py"]


@pytest.fixture(scope="session", autouse=True)
def plans() -> None:
    """Make the plans of all types, as a gateway does before it serves: some tests go through them."""
    prepare()
