"""bundle.json between versions: older ones are read with defaults, later ones as far as known."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from lbctl.spec import BundleSpec
from tests.specs import bundle_spec, group_spec


def test_what_was_written_is_read() -> None:
    spec = bundle_spec(group=group_spec(), programs=("haproxy-01",), log_format="json")

    assert BundleSpec.from_json(spec.to_json()) == spec


def test_a_bundle_of_the_version_before_is_read() -> None:
    spec = bundle_spec(log_format="json")
    raw = json.loads(spec.to_json())
    del raw["log_format"]

    assert BundleSpec.from_json(json.dumps(raw)) == replace(spec, log_format="text")


def test_what_a_later_version_has_more_is_passed_over() -> None:
    spec = bundle_spec()
    raw = json.loads(spec.to_json())

    assert BundleSpec.from_json(json.dumps({**raw, "later": [1]})) == spec


@pytest.mark.parametrize("name", ["version", "processes", "more_groups"])
def test_what_has_always_been_there_must_be_there(name: str) -> None:
    raw = json.loads(bundle_spec().to_json())
    del raw[name]

    with pytest.raises((KeyError, TypeError), match=name):
        BundleSpec.from_json(json.dumps(raw))
