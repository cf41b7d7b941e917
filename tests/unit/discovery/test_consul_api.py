"""Which index the next question waits for."""

from __future__ import annotations

import pytest

from lbctl.discovery.consul_api import next_index


@pytest.mark.parametrize(
    ("before", "said", "after"),
    [
        (0, "17", 17),
        (17, "17", 17),
        (17, "18", 18),
        (17, "16", 0),
        (17, "1", 0),
        (17, "0", 0),
        (17, "", 0),
        (17, "many", 0),
        (0, "0", 1),
        (0, "", 1),
        (0, "-5", 1),
    ],
)
def test_it_is_what_was_said_and_starts_over_when_that_goes_backwards(
    before: int, said: str, after: int
) -> None:
    """1 waits for any change, 0 for none: a question with 0 is asked once, never in a loop."""
    assert next_index(before, {"X-Consul-Index": said}) == after
