"""Settings of all tests."""

import os
import signal

from hypothesis import settings

# In CI the same examples are drawn every time, so that a change never fails for another's rare example.
settings.register_profile("ci", derandomize=True)
if os.environ.get("CI"):
    settings.load_profile("ci")

# A shell starts background jobs deaf to SIGINT, which the processes that tests start would inherit.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
