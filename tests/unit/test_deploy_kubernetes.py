"""
deploy/kubernetes: valid by the API's own schemas, of one piece, and asking for no right too many.

kustomize is not here: ``tests/kustomize.py`` reads as much of it as is used. What an admission
controller of a cluster thinks of it is not checked.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from lbctl import __version__
from lbctl.layout import ConfigDir
from lbctl.settings.discovery import Kubernetes
from lbctl.settings.load import load
from lbctl.settings.model import Settings
from tests.kubernetes_schemas import VERSIONS, schema_problem
from tests.kustomize import HASH, Plain, rendered

ROOT = Path(__file__).parents[2] / "deploy" / "kubernetes"
KINDS = ("base", "overlays/example", "overlays/article")
#: A stop of lbctl's takes no longer, seconds.
STOP_S = 10


class Deployed:
    """What ``kubectl apply -k`` would send."""

    def __init__(self, name: str) -> None:
        self.directory = ROOT / name
        self.objects = rendered(self.directory)
        self.pod = self.one("Deployment")["spec"]["template"]
        self.spec: Plain = self.pod["spec"]
        (self.container,) = self.spec["containers"]

    def all(self, kind: str) -> list[Plain]:
        return [one for one in self.objects if one["kind"] == kind]

    def one(self, kind: str, name: str = "lbctl") -> Plain:
        (found,) = (one for one in self.all(kind) if one["metadata"]["name"] == name)
        return found

    @property
    def ports(self) -> dict[str, int]:
        return {one["name"]: one["containerPort"] for one in self.container["ports"]}

    @property
    def settings(self) -> Settings:
        return load(ConfigDir(self.directory), environ={})


@pytest.fixture(name="made", params=KINDS)
def _made(request: pytest.FixtureRequest) -> Deployed:
    return Deployed(request.param)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", KINDS)
def test_every_object_is_valid(name: str, version: str) -> None:
    wrong = [
        f"{one['kind']} {one['metadata']['name']}: {what}"
        for one in rendered(ROOT / name)
        if (what := schema_problem(one, version))
    ]

    assert wrong == []


def test_no_file_is_left_out(made: Deployed) -> None:
    said = yaml.safe_load((made.directory / "kustomization.yaml").read_text())
    files = {
        *said["resources"],
        *(one["path"] for one in said.get("patches", ())),
        *(name for one in said["configMapGenerator"] for name in one["files"]),
    }

    assert {path.name for path in made.directory.iterdir()} == {
        *(name for name in files if not name.startswith("..")),
        "kustomization.yaml",
    }


def test_a_kustomization_that_says_more_than_is_read_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "kustomization.yaml").write_text("resources: []\nreplicas: []\n")

    with pytest.raises(AssertionError, match="not read here"):
        rendered(tmp_path)


def test_it_runs_without_root_and_without_any_capability(made: Deployed) -> None:
    pod, own = made.spec["securityContext"], made.container["securityContext"]

    assert pod["runAsNonRoot"] is True
    assert pod["runAsUser"] > 0
    assert pod["fsGroup"] == pod["runAsGroup"]
    assert pod["seccompProfile"] == {"type": "RuntimeDefault"}
    assert own == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert all(port >= 1024 for port in made.ports.values())


def test_it_may_look_at_services_and_slices_and_at_nothing_else(made: Deployed) -> None:
    rules = made.one("Role")["rules"]
    binding = made.one("RoleBinding")

    assert {(*one["apiGroups"], *one["resources"]) for one in rules} == {
        ("", "services"),
        ("discovery.k8s.io", "endpointslices"),
    }
    assert {verb for one in rules for verb in one["verbs"]} == {"list", "watch"}
    assert binding["roleRef"]["name"] == made.one("Role")["metadata"]["name"]
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "lbctl"}]
    assert made.spec["serviceAccountName"] == made.one("ServiceAccount")["metadata"]["name"]


def test_what_is_asked_for_by_name_has_that_name(made: Deployed) -> None:
    volumes = {one["name"] for one in made.spec["volumes"]}
    probes = [made.container[f"{kind}Probe"] for kind in ("startup", "readiness", "liveness")]
    asked = {(one.get("tcpSocket") or one["httpGet"])["port"] for one in probes}
    told = {port["targetPort"] for one in own(made) for port in one["spec"]["ports"]}
    let_in = {
        port["port"]
        for rule in made.one("NetworkPolicy")["spec"]["ingress"]
        for port in rule["ports"]
    }

    assert {one["name"] for one in made.container["volumeMounts"]} == volumes
    assert asked | told | let_in <= {*made.ports}
    assert let_in == {*made.ports}
    assert made.one("ConfigMap", f"lbctl-{HASH}")["data"]["lb.yaml"]


def own(made: Deployed) -> list[Plain]:
    """lbctl's Services; the others are what it balances."""
    return [one for one in made.all("Service") if one["metadata"]["name"].startswith("lbctl")]


def test_all_choose_the_same_pods(made: Deployed) -> None:
    wanted = {"app.kubernetes.io/name": "lbctl"}
    selectors: list[Any] = [
        made.one("Deployment")["spec"]["selector"]["matchLabels"],
        made.one("PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
        made.one("NetworkPolicy")["spec"]["podSelector"]["matchLabels"],
        *(one["spec"]["selector"] for one in own(made)),
        *(one["labelSelector"]["matchLabels"] for one in made.spec["topologySpreadConstraints"]),
    ]

    assert all(one == wanted for one in selectors)
    assert made.pod["metadata"]["labels"] == wanted


def test_ports_of_nodes_are_in_their_range_and_given_once(made: Deployed) -> None:
    ports = [port["nodePort"] for port in made.one("Service")["spec"]["ports"]]

    assert len({*ports}) == len(ports)
    assert all(30000 <= port <= 32767 for port in ports)
    assert 31000 in ports


def test_the_files_that_lb_yaml_names_are_in_the_secret(made: Deployed) -> None:
    mounts = {one["name"]: one["mountPath"] for one in made.container["volumeMounts"]}
    secret = next(one["secret"] for one in made.spec["volumes"] if one["name"] == "secrets")
    stats, api = made.settings.haproxy.stats, made.settings.api
    named = [one for one in (stats.password_file, api.read_token_file) if one]

    assert named
    assert all(Path(one).parent == Path(mounts["secrets"]) for one in named)
    # Nobody else's to read: lbctl warns of anything more.
    assert not secret["defaultMode"] & 0o007
    assert api.token_file is None
    assert mounts["config"] == "/haproxy"
    assert {mounts["run"], mounts["state"]} == {"/run/lbctl", "/var/lib/lbctl"}


def test_ports_are_those_that_lb_yaml_listens_on(made: Deployed) -> None:
    settings = made.settings
    assert settings.api.bind == f":{made.ports['api']}"
    if made.directory.name == "article":
        text = (made.directory / "haproxy.cfg").read_text()
        binds = {f"bind *:{made.ports[name]}" for name in ("http", "https", "stats")}
        assert all(one in text for one in binds)
        return
    stats = settings.haproxy.stats
    served = {
        settings.http.bind,
        *(f":{one.port}" for s in settings.services for one in s.all_routes),
    }
    assert (stats.bind, stats.port_base) == ("*", made.ports["stats"])
    assert {f":{made.ports[name]}" for name in ("http", "https") if name in made.ports} <= served


def test_there_is_time_to_stop(made: Deployed) -> None:
    _, pause = made.container["lifecycle"]["preStop"]["exec"]["command"]

    assert made.spec["terminationGracePeriodSeconds"] >= int(pause) + STOP_S


def test_the_image_is_this_version(made: Deployed) -> None:
    assert made.container["image"] == f"lbctl:{__version__}"


def test_the_example_asks_for_what_the_provider_looks_for() -> None:
    made = Deployed("overlays/example")
    name, _, value = Kubernetes().selector.partition("=")
    balanced = [one for one in made.all("Service") if one not in own(made)]
    names = {
        one["metadata"].get("annotations", {}).get("lbctl.name", one["metadata"]["name"])
        for one in balanced
    }

    assert all(one["metadata"]["labels"][name] == value for one in balanced)
    assert names == {one.name for one in made.settings.services} - {"cluster"}
