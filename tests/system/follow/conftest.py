"""A host with web servers, and on it one balancer for each module; a test leaves it serving."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy

import pytest

from lbctl.lab.hosts import Lab
from tests.balancers import Balancer, balancer, balancers


@pytest.fixture(name="host", scope="module")
def _host() -> Iterator[Lab]:
    with balancers() as lab:
        yield lab


@pytest.fixture(name="shared", scope="module")
def _shared(host: Lab) -> Iterator[Balancer]:
    with balancer(host) as made:
        made.settings["apply"] = {"hold_s": 0}
        made.begin()
        yield made


@pytest.fixture(name="here")
def _here(shared: Balancer) -> Iterator[Balancer]:
    """The shared one, which had services of its own; each test begins with two servers."""
    before = deepcopy((shared.settings, shared.services))
    yield shared
    shared.settings, shared.services = before
    was = shared.config.settings.read_text()
    shared.write()
    if shared.config.settings.read_text() != was:
        shared.reload()
