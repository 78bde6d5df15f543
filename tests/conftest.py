"""Settings of all tests."""

import os

from hypothesis import settings

# In CI the same examples are drawn every time, so that a change never fails for another's rare example.
settings.register_profile("ci", derandomize=True)
if os.environ.get("CI"):
    settings.load_profile("ci")
