"""
The image with the rights, the files and the probes that deploy/kubernetes gives it.

podman stands for the kubelet, and a double for the API server: no cluster can be run here.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from lbctl.lab.hosts import Host
from lbctl.lab.process import Process
from lbctl.lab.wait import wait_until
from tests.balancers import WEBS, serve_webs
from tests.fakes.kubernetes_objects import Plain, endpoint, endpoint_slice, service
from tests.fakes.kubernetes_program import KubernetesProgram, kubernetes_program
from tests.kustomize import rendered
from tests.pairs import own_lab
from tests.pems import issue
from tests.podman import IMAGE, ROOT, Podman

pytestmark = [pytest.mark.container, pytest.mark.timeout(900)]

ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
START_S = 30.0
FOLLOWED_S = 5.0


def slice_of(name: str) -> Plain:
    """One pod, at another port."""
    address, _, port = WEBS[name].rpartition(":")
    ports = (("http", int(port), "TCP"),)
    return endpoint_slice(endpoint(address, name), name=name, ports=ports)


class Pod:
    """
    One container, as the Deployment describes it.

    Args:
        host: whose network it has.
    """

    def __init__(self, host: Host, engine: Podman) -> None:
        objects = rendered(ROOT / "deploy" / "kubernetes" / "base")
        by_kind = {one["kind"]: one for one in objects}
        self.spec: Plain = by_kind["Deployment"]["spec"]["template"]["spec"]
        (self.container,) = self.spec["containers"]
        self.ports = {one["name"]: one["containerPort"] for one in self.container["ports"]}
        self.name = f"lbctl-{host.ns}-pod"
        self._config = by_kind["ConfigMap"]["data"]
        self.host, self._engine = host, engine
        self.process: Process | None = None
        self._group = self.spec["securityContext"]["fsGroup"]

    def start(self, ca: bytes) -> Process:
        """What the kubelet does: volumes, then the container."""
        words = [
            *("run", "--replace", f"--name={self.name}", "--pull=never"),
            f"--network=ns:/run/netns/{self.host.ns}",
            *self._rights(),
            *self._volumes(ca),
            "--env=KUBERNETES_SERVICE_HOST=localhost",
            f"--env=KUBERNETES_SERVICE_PORT={KubernetesProgram.port}",
            "--env=LBCTL_DISCOVERY_KUBERNETES_NAMESPACE=default",
            IMAGE,
        ]
        log = self.host.directory / "pod.log"
        self.process = Process.start(self._engine.argv(*words), log, self._engine.environ)
        return self.process

    def stop(self) -> int:
        """As the kubelet does behind ``preStop``; the exit code of the container."""
        self._engine.run("stop", "--time=20", self.name)
        assert self.process is not None
        return self.process.popen.wait(25)

    def end(self) -> None:
        """Whatever is left of it."""
        self._engine.run("rm", "--force", "--ignore", "--time=0", "--volumes", self.name)
        if self.process is not None:
            self.process.stop()

    def exec(self, *argv: str) -> tuple[int, str]:
        done = self._engine.run("exec", self.name, *argv, check=False)
        return done.returncode, done.stdout + done.stderr

    def probe(self, kind: str) -> bool:
        """As the kubelet asks."""
        said = self.container[f"{kind}Probe"]
        if "tcpSocket" in said:
            port = self.ports[said["tcpSocket"]["port"]]
            return self.curl(f"telnet://127.0.0.1:{port}", "--max-time", "0.2")[0] == 28
        asked = said["httpGet"]
        return self.curl(f"http://127.0.0.1:{self.ports[asked['port']]}{asked['path']}")[0] == 0

    def curl(self, url: str, *words: str) -> tuple[int, str]:
        argv = ["curl", "-sf", "-m", "3", *words, url]
        done = self.host.run(argv, check=False, timeout=10)
        return done.returncode, done.stdout

    def answers(self) -> set[str]:
        """Who answers."""
        url = f"http://127.0.0.1:{self.ports['http']}/hello?[1-8]"
        form = ("-o", "/dev/null", "-w", "%header{x-web} ")
        return {*self.curl(url, "-H", "Connection: close", *form)[1].split()}

    def replace_token(self, text: str) -> None:
        """As the kubelet does, before the old one is over."""
        self._write("account", {"token": text, "ca.crt": self._ca})

    def _rights(self) -> list[str]:
        pod, own = self.spec["securityContext"], self.container["securityContext"]
        assert own["capabilities"] == {"drop": ["ALL"]}
        assert own["readOnlyRootFilesystem"] is True
        assert own["allowPrivilegeEscalation"] is False
        return [
            f"--user={pod['runAsUser']}:{pod['runAsGroup']}",
            f"--group-add={pod['fsGroup']}",
            "--cap-drop=ALL",
            "--security-opt=no-new-privileges",
            "--read-only",
            "--read-only-tmpfs=false",
        ]

    def _volumes(self, ca: bytes) -> Iterator[str]:
        self._ca = ca.decode()
        mounts = {one["name"]: one["mountPath"] for one in self.container["volumeMounts"]}
        self._write("config", self._config)
        self._write("secrets", {"stats-password": "p" * 48, "read-token": "t" * 48})
        self.replace_token("first")
        for name, path in mounts.items():
            how = ":ro" if name in ("config", "secrets") else ""
            yield f"--volume={self._directory(name)}:{path}{how}"
        yield f"--volume={self._directory('account')}:{ACCOUNT}:ro"

    def _directory(self, name: str) -> Path:
        path = self.host.directory / f"volume-{name}"
        path.mkdir(exist_ok=True)
        os.chown(path, 0, self._group)
        # An emptyDir is everybody's, and with fsGroup its group's.
        path.chmod(0o2777 if name in ("run", "state") else 0o755)
        return path

    def _write(self, volume: str, files: Mapping[str, str]) -> None:
        """As the kubelet lays a volume: links into a directory that is replaced as a whole."""
        root = self._directory(volume)
        new = root / f"..{len([*root.iterdir()])}"
        new.mkdir()
        for name, text in files.items():
            (new / name).write_text(text)
            (new / name).chmod(0o644 if volume == "config" else 0o440)
            os.chown(new / name, 0, self._group)
            if not (root / name).is_symlink():
                (root / name).symlink_to(f"..data/{name}")
        (root / "..next").symlink_to(new.name)
        (root / "..next").rename(root / "..data")


@pytest.fixture(name="pod")
def _pod(engine: Podman) -> Iterator[Pod]:
    with own_lab("a") as lab:
        pod = Pod(lab["a"], engine)
        try:
            yield pod
        finally:
            pod.end()


def _cluster_files(lab_directory: Path) -> tuple[Path, bytes]:
    authority = issue("kubernetes", is_authority=True)
    pem = lab_directory / "kubernetes.pem"
    pem.write_bytes(issue("localhost", by=authority).both)
    return pem, authority.pem


def test_a_pod_without_rights_serves_what_the_cluster_says_and_ends_well(pod: Pod) -> None:
    host = pod.host
    serve_webs(host, ("w1", "w2"))
    pem, ca = _cluster_files(host.directory)
    with kubernetes_program(host, pem) as cluster:
        cluster.tell("token", "first")
        cluster.tell("put", service(), slice_of("w1"))
        process = pod.start(ca)
        for kind in ("startup", "readiness", "liveness"):
            wait_until(lambda kind=kind: pod.probe(kind), START_S, kind, seen=process.text)  # type: ignore[misc]
        first = pod.answers()
        pod.replace_token("second")
        cluster.tell("token", "second")
        cluster.tell("cut")
        cluster.tell("put", slice_of("w2"))
        wait_until(
            lambda: pod.answers() == {"w1", "w2"}, FOLLOWED_S, "both answer", seen=process.text
        )
        told = pod.curl(
            f"http://127.0.0.1:{pod.ports['api']}/metrics",
            "-H",
            f"Authorization: Bearer {'t' * 48}",
        )
        status = pod.exec("cat", "/proc/1/status")[1]
        touched = pod.exec("touch", "/x")
        code = pod.stop()

    assert first == {"w1"}
    assert "lbctl_" in told[1]
    assert "CapEff:\t0000000000000000" in status
    assert "CapBnd:\t0000000000000000" in status
    assert "Read-only file system" in touched[1]
    assert code == 0
    # The token that looks alone goes over the cluster's own network; nothing else is worth a word.
    warnings = [one for one in process.text().splitlines() if one.startswith("lbctl: warning: ")]
    assert all("api.tls.cert_file" in one for one in warnings)
