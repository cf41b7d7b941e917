"""
deploy/terraform can be parsed, and every name in it is declared.

No provider is here: which arguments its resources take is not checked.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hcl2
import pytest
import yaml

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
MODULES = (DEPLOY / "terraform", DEPLOY / "terraform" / "classic")

Plain = dict[str, Any]
#: ``var.name``, ``aws_lb.lbctl``: of a resource its kind and its name.
_NAMED = re.compile(r"(?<![\w.])(var\.\w+|aws_\w+\.\w+)")


def bare(plain: Any) -> Any:
    """What python-hcl2 read, without the quotes that it leaves around texts."""
    if isinstance(plain, dict):
        return {str(bare(key)): bare(value) for key, value in plain.items()}
    if isinstance(plain, list):
        return [bare(one) for one in plain]
    return plain.strip('"') if isinstance(plain, str) else plain


class Module:
    """One directory, all files of it together."""

    def __init__(self, directory: Path) -> None:
        self.blocks: list[tuple[str, Plain]] = []
        for path in sorted(directory.glob("*.tf")):
            with path.open(encoding="utf-8") as stream:
                read = bare(hcl2.load(stream))
            self.blocks += [(kind, one) for kind, some in read.items() for one in some]

    def of(self, kind: str) -> dict[str, Plain]:
        """By name; a resource's is ``aws_lb.lbctl``."""
        found: dict[str, Plain] = {}
        for _, block in (pair for pair in self.blocks if pair[0] == kind):
            for name, inside in block.items():
                if kind == "resource":
                    found |= {f"{name}.{own}": body for own, body in inside.items()}
                elif isinstance(inside, dict):
                    found[name] = inside
        return found

    def named(self) -> set[str]:
        """Every variable and resource that an expression names."""
        return {name for text in texts(self.blocks) for name in _NAMED.findall(text)}


def texts(plain: Any) -> Iterator[str]:
    if isinstance(plain, dict):
        plain = list(plain.values())
    if isinstance(plain, list | tuple):
        for one in plain:
            yield from texts(one)
    elif isinstance(plain, str):
        yield from re.findall(r"\$\{(.*)\}", plain, re.DOTALL)


@pytest.fixture(name="module", params=MODULES, ids=lambda one: one.name)
def _module(request: pytest.FixtureRequest) -> Module:
    return Module(request.param)


def test_whatever_is_named_is_declared_and_whatever_is_declared_is_used(module: Module) -> None:
    variables = {f"var.{name}" for name in module.of("variable")}
    resources = {*module.of("resource")}
    named = module.named()

    assert named <= variables | resources
    assert variables <= named
    assert len(resources) >= 4


def test_a_slip_in_a_name_would_be_seen(tmp_path: Path) -> None:
    text = (MODULES[0] / "main.tf").read_text("utf-8")
    (tmp_path / "main.tf").write_text(text.replace("aws_lb.lbctl.arn", "aws_lb.lbclt.arn", 1))
    module = Module(tmp_path)

    assert "aws_lb.lbclt" in module.named() - {*module.of("resource")}


def test_every_variable_and_every_output_says_what_it_is(module: Module) -> None:
    declared = {**module.of("variable"), **module.of("output")}

    assert all(one["description"].endswith(".") for one in declared.values())
    assert all("type" in one for one in module.of("variable").values())


def test_all_traffic_comes_with_the_proxy_protocol_to_one_port_of_the_nodes() -> None:
    resources = Module(MODULES[0]).of("resource")
    (group,) = (one for name, one in resources.items() if name.startswith("aws_lb_target_group."))
    listeners = [one for name, one in resources.items() if name.startswith("aws_lb_listener.")]
    targets = {one["default_action"][0]["target_group_arn"] for one in listeners}

    assert (group["proxy_protocol_v2"], group["protocol"]) == (True, "TCP")
    assert {(one["port"], one["protocol"]) for one in listeners} == {(80, "TCP"), (443, "TLS")}
    assert targets == {"${aws_lb_target_group.proxied.arn}"}


def test_the_ports_of_the_nodes_are_those_of_the_service() -> None:
    path = DEPLOY / "kubernetes" / "overlays" / "example" / "nodeports.yaml"
    ports = {
        one["name"]: one["nodePort"] for one in yaml.safe_load(path.read_text())["spec"]["ports"]
    }
    balancer = Module(MODULES[1]).of("resource")["aws_elb.app"]

    assert Module(MODULES[0]).of("variable")["node_port"]["default"] == ports["https"]
    assert [one["instance_port"] for one in balancer["listener"]] == [31000, ports["https"]]


def test_the_articles_balancer_is_what_it_was() -> None:
    resources = Module(MODULES[1]).of("resource")
    elb, policy = resources["aws_elb.app"], resources["aws_proxy_protocol_policy.app_elb"]

    assert [(one["lb_port"], one["lb_protocol"]) for one in elb["listener"]] == [
        (80, "tcp"),
        (443, "ssl"),
    ]
    assert policy["instance_ports"] == ["31001"]
    assert elb["cross_zone_load_balancing"] is True
