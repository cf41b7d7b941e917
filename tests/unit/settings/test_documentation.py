"""docs/configuration.md says of every key what the model says, and of no other."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from lbctl.layout import ConfigDir
from lbctl.settings.environment import SHORT
from lbctl.settings.keys import KEYS, Key
from lbctl.settings.load import load

NOWHERE = ConfigDir(Path("/nonexistent"))
TEXT = (Path(__file__).parents[3] / "docs" / "configuration.md").read_text(encoding="utf-8")

#: path -> meaning, default, allowed, environment
ROWS = {
    cells[1].strip("` "): [cell.strip() for cell in cells[2:-1]]
    for line in TEXT.splitlines()
    if line.startswith("| `")
    for cells in [line.split("|")]
}


def leaves(node: object, path: str = "") -> set[str]:
    if not isinstance(node, dict):
        return {path}
    return {leaf for name in node for leaf in leaves(node[name], f"{path}.{name}".lstrip("."))}


def test_every_key_has_a_row_and_every_row_a_key() -> None:
    assert list(ROWS) == list(KEYS)


@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)
def test_a_row_states_default_and_bounds_of_the_model(key: Key) -> None:
    _, default, allowed, _ = ROWS[key.path]

    assert yaml.safe_load(default.strip("`")) == (
        list(key.default) if isinstance(key.default, tuple) else key.default
    )
    assert set(key.words) <= set(re.findall(r"`([^`]*)`", allowed)) | {"auto"}
    assert ("`auto`" in allowed) == (key.default == "auto")
    assert ("`null`" in allowed) == key.is_nullable
    if key.low is not None:
        assert f"{key.low}..{key.high}" in allowed


@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)
def test_the_example_of_a_variable_is_accepted_for_its_key(key: Key) -> None:
    examples = dict(pair.split("=", 1) for pair in re.findall(r"`([A-Z].*?)`", ROWS[key.path][3]))

    assert set(examples) == {key.env} | {name for name, path in SHORT.items() if path == key.path}
    for name, text in examples.items():
        load(NOWHERE, environ={name: text})


def test_the_whole_file_loads_and_shows_every_key(tmp_path: Path) -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", TEXT, flags=re.DOTALL)
    (tmp_path / "lb.yaml").write_text(example, encoding="utf-8")

    load(ConfigDir(tmp_path), environ={})
    assert leaves(yaml.safe_load(example)) == set(KEYS)


def test_variables_that_are_named_exist() -> None:
    named = set(re.findall(r"LBCTL_[A-Z_]*[A-Z]\b(?!_)", TEXT)) - {"LBCTL_HTTP_SERVICE_HOST"}

    assert named == {key.env for key in KEYS.values()}
