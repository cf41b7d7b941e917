from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.fakes.netns import Host, link


@pytest.fixture(scope="module")
def hosts(request: pytest.FixtureRequest) -> Iterator[tuple[Host, ...]]:
    """Three hosts on one link, shared by the tests of a module: each leaves them as found."""
    with link(f"lbha{os.getpid()}x", 3) as hosts:
        yield hosts
