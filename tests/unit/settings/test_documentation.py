"""docs/configuration.md says of every key what the model says, and of no other."""

from __future__ import annotations

import re
from dataclasses import is_dataclass
from pathlib import Path

import pytest
import yaml

from lbctl.layout import ConfigDir
from lbctl.settings.environment import SHORT
from lbctl.settings.keys import KEYS, MEMBERS, Key
from lbctl.settings.load import load
from lbctl.settings.model import Settings

NOWHERE = ConfigDir(Path("/nonexistent"))
TEXT = (Path(__file__).parents[3] / "docs" / "configuration.md").read_text(encoding="utf-8")

#: path -> meaning, default, allowed; environment, but for keys of mappings in lists
ROWS = {
    cells[1].strip("` "): [cell.strip() for cell in cells[2:-1]]
    for line in TEXT.splitlines()
    if line.startswith("| `")
    for cells in [line.split("|")]
}


#: Each of ``routes`` is like ``route``, whose rows are enough.
SHOWN = {path: key for path, key in MEMBERS.items() if ".routes[]." not in path}
ALL = {**KEYS, **SHOWN}
#: In lb.yaml alone.
NO_VARIABLE = {"ha.groups", "services"}
#: What a key is of no use without.
NEEDED = {
    "api.bind": {"LBCTL_API_TOKEN_FILE": "/run/secrets/api"},
    "api.tls.key_file": {"LBCTL_API_TLS_CERT_FILE": "/run/secrets/api.pem"},
    "discovery.consul.key_file": {"LBCTL_DISCOVERY_CONSUL_CERT_FILE": "/etc/lbctl/consul.pem"},
    "discovery.docker.report_to.url": {"LBCTL_DISCOVERY_DOCKER_URL": "tcp://127.0.0.1:2375"},
    "discovery.kubernetes.key_file": {"LBCTL_DISCOVERY_KUBERNETES_CERT_FILE": "/etc/lbctl/lb.pem"},
    "discovery.hosts.dnsmasq": {"LBCTL_DISCOVERY_HOSTS_PATH": "/etc/hosts"},
}


def leaves(node: object, path: str = "") -> set[str]:
    if not isinstance(node, dict) or path in KEYS:
        return {path}
    return {leaf for name in node for leaf in leaves(node[name], f"{path}.{name}".lstrip("."))}


def test_every_key_has_a_row_and_every_row_a_key() -> None:
    assert [path for path in ROWS if path in KEYS] == list(KEYS)
    assert [path for path in ROWS if path not in KEYS] == list(SHOWN)


@pytest.mark.parametrize("key", ALL.values(), ids=ALL)
def test_a_row_states_default_and_bounds_of_the_model(key: Key) -> None:
    _, default, allowed = ROWS[key.path][:3]

    assert yaml.safe_load(default.strip("`")) == _default(key)
    assert set(key.words) <= set(re.findall(r"`([^`]*)`", allowed)) | {"auto"}
    assert ("`auto`" in allowed) == (key.default == "auto")
    assert ("`null`" in allowed) == key.is_nullable
    if key.low is not None:
        assert f"{key.low}..{key.high}" in allowed


def _default(key: Key) -> object:
    """None: no default, or nothing at all, which the document leaves empty."""
    if isinstance(key.default, tuple) and (key.default or key.path in KEYS):
        return list(key.default)
    return None if key.default in ("", ()) or is_dataclass(key.default) else key.default


@pytest.mark.parametrize("key", [key for path, key in KEYS.items() if path not in NO_VARIABLE])
def test_the_example_of_a_variable_is_accepted_for_its_key(key: Key) -> None:
    examples = dict(pair.split("=", 1) for pair in re.findall(r"`([A-Z].*?)`", ROWS[key.path][3]))

    assert set(examples) == {key.env} | {name for name, path in SHORT.items() if path == key.path}
    for name, text in examples.items():
        load(NOWHERE, environ={"LBCTL_HA_ENGINE": "native", **NEEDED.get(key.path, {}), name: text})


def test_the_whole_file_loads_and_shows_every_key(tmp_path: Path) -> None:
    whole, *parts = re.findall(r"```yaml\n(.*?)```", TEXT, flags=re.DOTALL)
    for example in (whole, *parts):
        (tmp_path / "lb.yaml").write_text(example, encoding="utf-8")
        load(ConfigDir(tmp_path), environ={})

    assert leaves(yaml.safe_load(whole)) == set(KEYS)
    assert len(parts) == 11


def test_the_file_that_is_shipped_shows_every_key_with_its_default(tmp_path: Path) -> None:
    text = (Path(__file__).parents[3] / "conf" / "lb.yaml").read_text(encoding="utf-8")
    lines = re.findall(r"^#([ a-z].*)$", text, flags=re.MULTILINE)
    shown = "\n".join(line for line in lines if not line.startswith(" ") or line.startswith("  "))
    (tmp_path / "lb.yaml").write_text(shown, encoding="utf-8")

    assert leaves(yaml.safe_load(shown)) == set(KEYS)
    assert load(ConfigDir(tmp_path), environ={}) == Settings()


def test_variables_that_are_named_exist() -> None:
    named = set(re.findall(r"LBCTL_[A-Z_]*[A-Z]\b(?!_)", TEXT)) - {"LBCTL_HTTP_SERVICE_HOST"}

    assert named == {key.env for path, key in KEYS.items() if path not in NO_VARIABLE}
