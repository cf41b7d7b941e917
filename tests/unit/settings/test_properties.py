"""Whatever lb.yaml holds: Settings or ConfigError, and nothing else."""

from __future__ import annotations

import tempfile
from pathlib import Path

import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lbctl.errors import ConfigError
from lbctl.layout import ConfigDir
from lbctl.settings.keys import CHILDREN, KEYS
from lbctl.settings.load import effective, load
from lbctl.settings.model import Settings

NOWHERE = ConfigDir(Path("/nonexistent"))

NAMES = sorted({name for names in CHILDREN.values() for name in names})
YAML_SIGNS = st.sampled_from(
    [*"\n\n\n   :-?[]{},&*!|>'\"%@`#~\t\\xuU0123456789ae.+_<=", ": ", "- ", "---", "!!", "\n  "]
)
WORDS = st.sampled_from([*NAMES, "auto", "null", "yes", "0x", ".inf", "!!int", "!!float", "<<"])
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.dates()
    | st.sampled_from(["auto", "haproxy", "5s", "127.0.0.1", ":80"])
)
TREES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(NAMES) | SCALARS, inner, max_size=6)
    ),
    max_leaves=25,
)


def loaded(content: bytes) -> Settings | ConfigError:
    with tempfile.TemporaryDirectory() as root:
        (Path(root) / "lb.yaml").write_bytes(content)
        try:
            return load(ConfigDir(Path(root)), environ={})
        except ConfigError as caught:
            error = caught
    assert error.problems
    assert all(problem.where and problem.what for problem in error.problems)
    assert all(str(problem).isprintable() for problem in error.problems)
    return error


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=60))
def test_any_bytes(content: bytes) -> None:
    loaded(content)


@settings(max_examples=500, deadline=None)
@given(st.lists(YAML_SIGNS | WORDS | st.characters(), max_size=40).map("".join))
@example("ha: {drain_s: -.inf}")
@example("%YAML " + "9" * 5000 + ".1\n---\n")
@example('user: "\\U00110000"')
@example("ha: {vhid: 0x" + "f" * 5000 + "}")
@example("user: !%ff x")
def test_any_text_in_yamls_signs(text: str) -> None:
    loaded(text.encode(errors="surrogatepass"))


@settings(max_examples=300, deadline=None)
@given(TREES)
def test_any_tree_of_values(tree: object) -> None:
    loaded(yaml.dump(tree, allow_unicode=True).encode(errors="surrogatepass"))


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.sampled_from(sorted(KEYS)), st.text(max_size=12)))
def test_any_flags_end_in_settings_that_load_again(flags: dict[str, str]) -> None:
    try:
        found = load(NOWHERE, environ={}, flags=flags)
    except ConfigError as error:
        named = {problem.where.removeprefix("--") for problem in error.problems}
    else:
        named = set()
        assert loaded(effective(found).encode()) == found
    assert named <= set(flags)
