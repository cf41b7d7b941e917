"""
The double of the Kubernetes API server against what is known of the real one: its own schemas, and
how a pod reaches it.
"""

from __future__ import annotations

import os
import shutil
import ssl
import tempfile
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from lbctl.discovery.kubernetes import KubernetesProvider
from lbctl.errors import ConfigError, ProviderError
from lbctl.launch.host import Account
from lbctl.launch.privileges import Privileges
from lbctl.launch.sources import source_warnings
from lbctl.settings.discovery import IN_CLUSTER, Discovery, Kubernetes
from lbctl.settings.model import Settings
from tests.fakes.kubernetes_api import kubernetes_double
from tests.fakes.kubernetes_objects import (
    ENDED,
    ENDS,
    NOT_READY,
    Plain,
    endpoint,
    endpoint_slice,
    service,
)
from tests.kubernetes_schemas import VERSIONS, schema_problem
from tests.loops import in_a_loop
from tests.pems import issue

pytestmark = pytest.mark.contract

OBJECTS = (
    service(),
    service("two", ports=(("http", 80, "TCP"), ("dns", 53, "UDP")), says={"name": "x"}),
    endpoint_slice(
        endpoint(),
        endpoint("10.0.0.2", "b", NOT_READY),
        endpoint("10.0.0.3", "c", ENDS),
        endpoint("10.0.0.4", None, ENDED, hostname="db-0"),
    ),
    endpoint_slice(endpoint("fd00::1"), name="six", family="IPv6"),
)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("one", OBJECTS, ids=lambda one: one["metadata"]["name"])
def test_what_the_double_serves_is_valid_by_the_apis_own_schemas(one: Plain, version: str) -> None:
    assert not schema_problem(one, version)


@pytest.mark.parametrize("version", VERSIONS)
def test_the_schemas_refuse_what_is_none(version: str) -> None:
    broken, unknown = endpoint_slice(endpoint()), endpoint_slice(endpoint(nodename="x"))
    broken["addressType"] = 4

    assert "4 is not of type 'string'" in schema_problem(broken, version)
    assert "'nodename' was unexpected" in schema_problem(unknown, version)


@in_a_loop
async def test_a_list_and_a_watch_have_what_a_recorded_one_has() -> None:
    async with kubernetes_double() as double, aiohttp.ClientSession() as session:
        double.put(*OBJECTS)
        path = f"{double.url}/apis/discovery.k8s.io/v1/endpointslices"
        listed = await (await session.get(path, params={"limit": "1"})).json()
        params = {"watch": "1", "resourceVersion": "1000", "timeoutSeconds": "1"}
        async with session.get(path, params=params) as watch:
            event = await anext(aiter(watch.content))

    assert (listed["kind"], listed["apiVersion"]) == ("EndpointSliceList", "discovery.k8s.io/v1")
    assert listed["metadata"] == {
        "resourceVersion": "1004",
        "continue": "1004:1",
        "remainingItemCount": 1,
    }
    assert event.startswith(b'{"type": "ADDED", "object": {"kind": "EndpointSlice"')
    assert event.endswith(b"}\n")


class Pod:
    """What a pod is given."""

    def __init__(self, root: Path) -> None:
        self.account = root / "serviceaccount"
        self.account.mkdir()
        authority = issue("kubernetes", is_authority=True)
        own = issue("localhost", by=authority)
        (root / "own.pem").write_bytes(own.both)
        (self.account / "ca.crt").write_bytes(authority.pem)
        (self.account / "token").write_text("eyJhbGciOiJSUzI1NiJ9.own")
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.load_cert_chain(root / "own.pem")

    def provider(self, url: str, **more: Any) -> KubernetesProvider:
        host, _, port = url.removeprefix("https://").rpartition(":")
        environ = {"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": port}
        settings = Kubernetes(url=IN_CLUSTER, namespace="default")
        return KubernetesProvider(settings, more, environ=environ, account=self.account)


@pytest.fixture(name="pod")
def _pod(tmp_path: Path) -> Pod:
    return Pod(tmp_path)


@in_a_loop
async def test_in_a_pod_nothing_but_that_needs_to_be_said(pod: Pod) -> None:
    async with kubernetes_double(pod.tls) as double:
        double.token = "eyJhbGciOiJSUzI1NiJ9.own"
        double.put(*OBJECTS)
        provider = pod.provider(double.url)
        found = await provider.fetch()
        await provider.close()

    assert provider.target == double.url
    assert {one.name: len(one.servers) for one in found.services} == {"hello": 4, "x": 0}


@in_a_loop
async def test_an_api_server_that_others_have_signed_is_not_believed(pod: Pod) -> None:
    (pod.account / "ca.crt").write_bytes(issue("others", is_authority=True).pem)
    async with kubernetes_double(pod.tls) as double:
        provider = pod.provider(double.url)
        with pytest.raises(ProviderError, match="its certificate is not believed"):
            await provider.fetch()
        await provider.close()

        assert double.tokens == []


def test_outside_of_a_pod_that_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="this is no pod: KUBERNETES_SERVICE_HOST is not set"):
        KubernetesProvider(Kubernetes(url=IN_CLUSTER), {}, environ={}, account=tmp_path)


@pytest.mark.parametrize(("mode", "expected"), [(0o400, 1), (0o440, 0)])
def test_a_token_that_who_asks_may_not_read_is_warned_of(mode: int, expected: int) -> None:
    """It is another one every hour, and would be over before the next reload."""
    is_root = os.geteuid() == 0
    account = Account("65534", 65534, 65534)
    nobody = Privileges(shutil.which("setpriv") or "setpriv", account, is_root)
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o755)
        token = Path(place) / "token"
        token.touch()
        os.chown(token, -1, 65534 if is_root else -1)
        token.chmod(mode)
        kubernetes = Kubernetes(url=IN_CLUSTER, token_file=str(token))
        settings = Settings(discovery=Discovery(kubernetes=kubernetes))
        said = [*source_warnings(settings, nobody)]

    # Without root all programs are one user, who may read what is his own.
    assert len(said) == (expected if is_root else 0)
    assert all("user 65534 may not read it" in one for one in said)


def test_an_address_of_ipv6_is_a_url_too(pod: Pod) -> None:
    assert pod.provider("https://fd00::1:443").target == "https://[fd00::1]:443"
