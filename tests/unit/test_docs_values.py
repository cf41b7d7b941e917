"""What a reader of the documents would type into lb.yaml or look for: keys, variables, figures."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest
import yaml

from lbctl.layout import ConfigDir
from lbctl.settings.environment import SHORT
from lbctl.settings.keys import KEYS, MEMBERS
from lbctl.settings.load import load
from lbctl.settings.model import Settings
from tests.unit.test_docs import DOCS, OPERATION, ROOT, name_of, said

_YAML = re.compile(r"^( *)```yaml\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"`([^`\n]+)`")
_SECTIONS = "|".join(one.name for one in fields(Settings))
_KEY = re.compile(rf"(?:{_SECTIONS})(?:\.[a-z_]+)+")
#: ``haproxy.cfg``, ``api.sock``: files, not keys.
_FILE = re.compile(r"\.(?:cfg|sock|json|sqlite|fifo|conf|md|handler|configuration|service)\b")
_VARIABLE = re.compile(r"\bLBCTL_[A-Z][A-Z_]*[A-Z]\b")
#: Of ``lbctl status --json``.
_STATUS = {"ha.foreign", "ha.checks", "apply.workers"}
#: Kubernetes sets it.
_FOREIGN = {"LBCTL_HTTP_SERVICE_HOST"}

PATHS = {*KEYS, *MEMBERS}
TEXTS = {name_of(path): path.read_text("utf-8") for path in DOCS}


def examples(text: str) -> list[str]:
    """Parts of a lb.yaml: fences, and spans such as ``discovery: {hosts: ...}``."""
    fences = [re.sub(rf"^{indent}", "", body, flags=re.M) for indent, body in _YAML.findall(text)]
    spans = [one for one in _SPAN.findall(text) if re.match(rf"(?:{_SECTIONS}): [{{\[]", one)]
    return [f"services:\n{one}" if one.lstrip().startswith("- ") else one for one in fences] + spans


EXAMPLES = [
    pytest.param(one, id=f"{name}-{number}")
    for name, text in TEXTS.items()
    for number, one in enumerate(examples(text))
]


@pytest.mark.parametrize("text", EXAMPLES)
def test_an_example_is_a_lb_yaml_that_is_taken(text: str, tmp_path: Path) -> None:
    (tmp_path / "lb.yaml").write_text(text)

    assert isinstance(yaml.safe_load(text), dict)
    assert isinstance(load(ConfigDir(tmp_path), environ={}), Settings)


@pytest.mark.parametrize("name", TEXTS)
def test_every_key_that_is_named_is_one(name: str) -> None:
    spans = [one for one in _SPAN.findall(TEXTS[name]) if not _FILE.search(one)]
    keys = {key for one in spans for key in [one.partition(":")[0]] if _KEY.fullmatch(key)}
    known = [f"{path.replace('[]', '')}." for path in PATHS]
    unknown = {key for key in keys if not any(one.startswith(f"{key}.") for one in known)}

    assert unknown - _STATUS == set()


@pytest.mark.parametrize("name", TEXTS)
def test_every_variable_that_is_named_is_read(name: str) -> None:
    variables = {f"LBCTL_{path.replace('.', '_').upper()}" for path in KEYS} | {*SHORT}
    programs = [*(ROOT / "lbctl").rglob("*.py"), ROOT / "vagrant" / "Vagrantfile"]
    read = {one for path in programs for one in _VARIABLE.findall(path.read_text("utf-8"))}

    assert set(_VARIABLE.findall(TEXTS[name])) - variables - read - _FOREIGN == set()


def events_of_sources() -> list[str]:
    """The first cells of the table of events of sources."""
    start = "^## Services are found elsewhere: what to do$"
    (section,) = re.findall(rf"{start}(.*?)^### ", TEXTS[name_of(OPERATION)], re.M | re.DOTALL)
    return re.findall(r"^\|(?: `program`:)? `([^`]+)` \|", section, re.MULTILINE)


@pytest.mark.parametrize("event", events_of_sources())
def test_an_event_of_a_source_is_quoted_as_lbctl_says_it(event: str) -> None:
    templates = [one for one in said() if len(one.replace("\0", "")) >= 12 and " " in one]

    assert any(
        re.search(".+".join(map(re.escape, one.strip().split("\0"))), event) for one in templates
    )
