"""Rules of the keys of ``discovery.kubernetes``, and the files that they name."""

from __future__ import annotations

from pathlib import Path

import pytest

from lbctl.errors import ConfigError, ValidationError
from lbctl.launch.secrets import read_secrets
from lbctl.layout import ConfigDir
from lbctl.settings.load import load
from lbctl.settings.model import Settings
from lbctl.settings.sources import sources_of

KEY = "discovery.kubernetes"


def loaded(tmp_path: Path, inside: str) -> Settings:
    text = f"discovery:\n  kubernetes: {{{inside}}}\n"
    (tmp_path / "lb.yaml").write_text(text, encoding="utf-8")
    return load(ConfigDir(tmp_path), environ={})


@pytest.mark.parametrize(
    "inside",
    [
        "url: in-cluster",
        "url: 'https://10.0.0.1:6443', token_file: /run/token",
        "url: 'https://[fd00::1]:6443', namespace: default, selector: 'tier in (web,api)'",
        # kubectl proxy
        "url: 'http://127.0.0.1:8001'",
        "url: in-cluster, cert_file: /a, key_file: /b",
    ],
)
def test_what_can_be_asked_passes(tmp_path: Path, inside: str) -> None:
    assert "kubernetes" in sources_of(loaded(tmp_path, inside), has_registry=False)


@pytest.mark.parametrize(
    ("inside", "expected"),
    [
        (
            "url: in-clutser",
            "https://kubernetes.example.com:6443 or http://127.0.0.1:6443; in a pod: in-cluster",
        ),
        ("url: 'https://10.0.0.1:6443/api'", "must end with the port"),
        ("url: 'https://me:secret@10.0.0.1:6443'", "must hold no user and no password"),
        ("namespace: Default", "must be the name of a namespace, as in default"),
        ("selector: ''", "must not be empty"),
        ("url: 'http://10.0.0.1:8001', token_file: /t", "token_file want https://"),
        ("url: in-cluster, key_file: /k", "is the key of no certificate"),
        ("token_file: token", "must be an absolute path"),
    ],
)
def test_a_slip_is_named(tmp_path: Path, inside: str, expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, inside)

    (problem,) = caught.value.problems
    assert expected in problem.what
    assert KEY in str(problem)


def test_what_a_pod_is_given_is_not_asked_for_where_there_is_no_pod(tmp_path: Path) -> None:
    """An image is checked while it is built."""
    assert read_secrets(loaded(tmp_path, "url: in-cluster")) == {}


def test_files_that_are_named_are_read_and_judged(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("eyJ.own\n")
    (tmp_path / "ca").write_text("nonsense")
    settings = loaded(tmp_path, f"url: in-cluster, token_file: {tmp_path}/token")

    assert read_secrets(settings) == {f"{KEY}.token_file": b"eyJ.own"}
    with pytest.raises(ValidationError) as caught:
        read_secrets(loaded(tmp_path, f"url: in-cluster, ca_file: {tmp_path}/ca"))
    assert "holds no certificate" in str(caught.value)
