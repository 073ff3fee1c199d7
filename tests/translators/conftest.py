"""What is collected of the tests of the translators."""

import os

collect_ignore = [] if os.environ.get("VKP_EXAMPLES") else ["test_examples.py"]
