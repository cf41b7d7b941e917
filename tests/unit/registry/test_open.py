"""From settings to a store; and what is not loaded for it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from lbctl.errors import ConfigError
from lbctl.layout import StateDir
from lbctl.registry.open import open_registry
from lbctl.settings.discovery import Consul, Discovery, Registry
from lbctl.settings.model import Settings


@pytest.mark.parametrize(
    ("settings", "target"),
    [
        (Settings(), "{state}/registry.sqlite"),
        (
            Settings(
                registry=Registry(store="consul", consul_prefix="a/b"),
                discovery=Discovery(consul=Consul(url="http://10.0.0.5:8500")),
            ),
            "consul http://10.0.0.5:8500, a/b/",
        ),
        (
            Settings(registry=Registry(store="dynamodb", dynamodb_region="eu-west-1")),
            "dynamodb eu-west-1, table lbctl-registry",
        ),
    ],
)
def test_the_store_is_the_one_that_the_settings_name(
    settings: Settings, target: str, tmp_path: Path
) -> None:
    registry = open_registry(settings, {}, StateDir(tmp_path))

    assert registry.target == target.format(state=tmp_path)


def test_a_token_is_in_no_text_of_the_registry(tmp_path: Path) -> None:
    settings = Settings(
        registry=Registry(store="consul"),
        discovery=Discovery(consul=Consul(url="http://10.0.0.5:8500")),
    )
    secrets = {"discovery.consul.token_file": b"secret-token"}
    registry = open_registry(settings, secrets, StateDir(tmp_path))

    assert "secret-token" not in f"{registry.target}{registry!r}{vars(registry)}"


def test_consul_without_an_url_is_named(tmp_path: Path) -> None:
    settings = Settings(registry=Registry(store="consul"))

    with pytest.raises(ConfigError, match=r"registry.store: consul needs discovery.consul.url"):
        open_registry(settings, {}, StateDir(tmp_path))


def test_what_only_dynamodb_needs_is_not_loaded_for_the_others() -> None:
    code = "import sys, lbctl.daemons.discovery, lbctl.registry; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-I", "-c", code], check=True, capture_output=True, text=True, timeout=20
    )
    loaded = {name.partition(".")[0] for name in done.stdout.split()}

    assert "lbctl" in loaded
    assert not loaded & {"boto3", "botocore", "yaml", "jinja2"}
