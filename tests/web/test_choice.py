"""A file of several channels: the page asks for one, and everything after looks at that one."""

from __future__ import annotations

from urllib.parse import urlencode
from urllib.request import urlopen

import numpy as np
import tifffile

from tests.web.browser import chromium, visit
from tests.web.conftest import Server


def test_a_channel_is_chosen_on_the_page(server: Server) -> None:
    one = tifffile.imread(server.data / "movie.tif")
    both = np.ascontiguousarray(np.stack([np.full_like(one, 7), one], 1))
    path = server.data / "two.tif"
    options = {"resolution": (10, 10), "metadata": {"axes": "TCYX", "unit": "um"}}
    tifffile.imwrite(path, both, imagej=True, **options)
    with (
        chromium() as browser,
        visit(browser, server.url(f"/movie?{urlencode({'path': str(path)})}")) as page,
    ):
        page.get_by_text("holds 2 channels").wait_for()
        page.get_by_role("link", name="Channel 1").click()
        page.get_by_role("button", name="Reconstruct", exact=True).wait_for()
        assert page.locator('[data-key="channel"]').input_value() == "1"
        # What was measured is that channel: the other one is constant.
        page.get_by_text("emitters per µm² and frame").wait_for()
    query = {"path": str(path), "t": 0, "low": 0, "high": 300}
    pictures = [
        urlopen(server.url(f"/api/frame?{urlencode(query | {'channel': channel})}")).read()
        for channel in (0, 1)
    ]
    assert pictures[0] != pictures[1]
