"""schemathesis against the whole API of a running bundle, over TCP with a token."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
import schemathesis
from hypothesis import settings
from schemathesis import Case
from schemathesis.specs.openapi.checks import (
    ignored_auth,
    positive_data_acceptance,
    unsupported_method,
)

from lbctl import __version__
from lbctl.api.openapi import description
from lbctl.lab.wait import wait_until
from tests.bundles import Bundle
from tests.places import free_ports, open_directory

pytestmark = pytest.mark.contract

TOKEN = "a-token-of-this-test"
#: But for the streams, which have no end.
SCHEMA = schemathesis.openapi.from_dict(description(__version__)).exclude(
    path=["/v1/events", "/v1/live"]
)
#: Each request is sent with the token: one that was made without it would be judged wrongly.
SCHEMA.config.generation.update(with_security_parameters=False)


@pytest.fixture(scope="module", name="url")
def _url() -> Iterator[str]:
    """Of the agent's API."""
    web, tls, api, stats, peers = free_ports(5)
    with open_directory() as root:
        bundle = Bundle(root)
        token = root / "token"
        token.write_text(f"{TOKEN}\n")
        bundle.configure(
            {
                "http": {"bind": f"127.0.0.1:{web}", "tls_bind": f"127.0.0.1:{tls}"},
                "haproxy": {
                    "processes": 1,
                    "stats": {"port_base": stats},
                    "peers": {"port_base": peers},
                },
                "api": {
                    "bind": f"127.0.0.1:{api}",
                    "token_file": str(token),
                    "rate_per_s": 10000,
                },
            }
        )
        bundle.start()
        try:
            bundle.wait_up()
            url = f"http://127.0.0.1:{api}"
            wait_until(lambda: _is_ready(f"{url}/readyz"), 10, "it is ready")
            yield url
            bundle.stop()
        finally:
            bundle.end()


def _is_ready(url: str) -> bool:
    try:
        with urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except HTTPError:
        return False


@SCHEMA.parametrize()
@settings(max_examples=8, deadline=None)
def test_whatever_is_sent_the_answer_is_one_that_is_described(case: Case[Any], url: str) -> None:
    """
    What the schema forbids is refused, nothing is a 500, and every answer has its described form.

    What the schema allows may still be refused: ids that are there twice, an ip that is none. Wrong
    tokens are for tests/unit/api/test_access.py: so many of them are not looked at any more.
    """
    case.call_and_validate(
        base_url=url,
        headers={"Authorization": f"Bearer {TOKEN}"},
        excluded_checks=[positive_data_acceptance, unsupported_method, ignored_auth],
        timeout=10,
    )
