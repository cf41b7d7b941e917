"""The image by itself: what is in it, how it is looked after, and the forms in which it starts."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import lbctl
from lbctl.lab.hosts import Lab
from lbctl.lab.pair import PASSWORD, VIP
from lbctl.lab.wait import wait_until
from tests.containers import CAPABILITIES, ContainerNode
from tests.pairs import Tell, own_lab
from tests.podman import IMAGE, ROOT, Podman, alone, build_image, refused

pytestmark = [pytest.mark.container, pytest.mark.timeout(900)]

#: docs/container.md says what is in it; more than this wants a look.
MAX_BYTES = 215_000_000
NOT_IN_IT = ("pip", "pip3", "gcc", "cc", "strip", "man")
READ_ONLY = ("--read-only", "--read-only-tmpfs=false", "--tmpfs=/run")

Run = Callable[..., subprocess.CompletedProcess[str]]
Start = Callable[..., ContainerNode]


@pytest.fixture(name="lab")
def _lab() -> Iterator[Lab]:
    with own_lab("a", "client") as lab:
        yield lab


@pytest.fixture(name="run")
def _run(engine: Podman, lab: Lab) -> Iterator[Run]:
    """A container on host a that is expected to end by itself, and soon."""
    name = f"lbctl-{lab['a'].ns}-alone"
    network = f"--network=ns:/run/netns/{lab['a'].ns}"

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        own = () if any(word.startswith("--network=") for word in words) else (network,)
        return engine.run("run", "--rm", f"--name={name}", *own, *words, check=False, timeout=15)

    yield run
    engine.run("rm", "--force", "--ignore", "--time=0", "--volumes", name)


@pytest.fixture(name="start")
def _start(engine: Podman, lab: Lab) -> Iterator[Start]:
    """Starts the image on host a: arguments, then options of ``podman run`` as *flags*."""
    nodes = []

    def start(*arguments: str, flags: tuple[str, ...] = ()) -> ContainerNode:
        node = ContainerNode(lab, lab["a"], engine, *flags)
        nodes.append(node)
        node.start(*arguments)
        return node

    yield start
    for node in nodes:
        node.remove()


def inspected(engine: Podman) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(engine.run("image", "inspect", IMAGE).stdout)[0]
    return found


def test_image_is_small_and_has_no_tools_of_its_build(engine: Podman, run: Run) -> None:
    ask = f'for one in {" ".join(NOT_IN_IT)} haproxy; do command -v "$one"; done'
    tools = run("--entrypoint=sh", IMAGE, "-c", ask)

    assert tools.stdout.split() == ["/usr/sbin/haproxy"], tools.stderr
    assert inspected(engine)["Size"] <= MAX_BYTES


def test_dockerfile_needs_no_buildkit() -> None:
    """Debian 12's docker.io builds without it: no mounts, no links, no here-documents."""
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    flags = [one for line in lines for one in re.findall(r"^(?:RUN|COPY|ADD) +(--\w+)", line)]

    assert set(flags) == {"--from"}
    assert [line for line in lines if "<<" in line or line.startswith("# syntax")] == []


def test_image_says_what_it_is_and_how_it_is_run(engine: Podman) -> None:
    config = inspected(engine)["Config"]

    assert config["Labels"]["org.opencontainers.image.version"] == lbctl.__version__
    assert config["Entrypoint"] == ["lbctl", "run"]
    assert config["StopSignal"] in ("SIGTERM", "15")
    assert "/var/lib/lbctl" in config["Volumes"]


def test_every_module_is_compiled_and_would_be_loaded_as_it_is(run: Run) -> None:
    """Byte code with the flag 1 is not compared with the source's time."""
    script = """
import pathlib, struct
root = pathlib.Path("/opt/lbctl/lib")
for path in root.rglob("*.py"):
    found = list(path.parent.glob(f"__pycache__/{path.stem}.cpython-*.pyc"))
    if not found or struct.unpack_from("<I", found[0].read_bytes(), 4)[0] != 1:
        print(path)
"""
    said = run("--entrypoint=/opt/lbctl/bin/python", IMAGE, "-I", "-c", script)

    assert said.returncode == 0, said.stderr
    assert said.stdout == ""


def test_other_commands_are_an_entrypoint_away(run: Run) -> None:
    check = run("--entrypoint=lbctl", IMAGE, "check")
    version = run("--entrypoint=lbctl", IMAGE, "--version")

    assert check.returncode == 0, check.stderr
    assert check.stderr == ""
    assert "ok: haproxy.cfg (generated): HAProxy 3." in check.stdout
    assert version.stdout == f"lbctl {lbctl.__version__}\n"


def test_image_upon_debian_12_checks_and_tells_its_version(
    engine: Podman, run: Run, tell: Tell
) -> None:
    began = time.monotonic()
    with alone(engine):
        older = build_image(engine, "bookworm", f"{IMAGE}-bookworm")
    tell(f"the image upon bookworm: {time.monotonic() - began:.1f} s")
    check = run("--entrypoint=lbctl", older, "check")
    version = run("--entrypoint=lbctl", older, "--version")

    assert check.returncode == 0, check.stderr
    assert check.stderr == ""
    assert "ok: haproxy.cfg (generated): HAProxy 2.6" in check.stdout
    assert version.stdout == f"lbctl {lbctl.__version__}\n"


def test_image_without_arguments_is_a_plain_balancer(start: Start, lab: Lab) -> None:
    node = start()
    node.wait_running("haproxy-01", "nginx", "agent", within_s=15)
    page = lab["client"].run(["curl", "-sf", f"http://{lab['a'].address}/"]).stdout
    said = node.text().lower()

    assert "lbctl" in page
    assert [word for word in ("warning", "error", "alert") if word in said] == []
    assert node.stop() == 0
    assert "unknown" not in node.text()


def test_health_is_bad_where_no_agent_is(run: Run) -> None:
    said = run("--entrypoint=/opt/lbctl/bin/healthcheck", IMAGE)

    assert said.returncode == 1
    assert said.stdout.startswith("unhealthy: the agent at /run/lbctl/api/api.sock: No such file")


def test_health_is_told_by_an_agent_that_answers(start: Start) -> None:
    node = start()
    node.wait_running("agent", "haproxy-01", within_s=15)
    wait_until(lambda: node.health()[0] == 0, 5, "the agent answers")
    well = node.health()
    asked = ("/opt/lbctl/bin/healthcheck", "/readyz")
    wait_until(lambda: node.exec(*asked, check=False).returncode == 0, 5, "the bundle is ready")
    ready = node.exec(*asked)
    node.kill("agent", signal.SIGSTOP)
    hung = node.health()
    node.kill("agent", signal.SIGCONT)

    assert well == (0, 'healthy: the agent says {"ok": true}')
    assert '"ready": true' in ready.stdout
    assert hung[0] == 1
    assert "/run/lbctl/api/api.sock: no answer in 3 s" in hung[1]
    assert node.health()[0] == 0


def test_read_only_root_serves_checks_and_keeps_its_state(start: Start, lab: Lab) -> None:
    state = f"--volume={lab['a'].directory / 'state'}:/var/lib/lbctl"
    flags = (*READ_ONLY, state)
    node = start(VIP, PASSWORD, flags=flags)
    node.wait_role("MASTER", 15)
    identity = identity_of(node)
    check = node.exec("lbctl", "check", check=False)

    assert check.returncode == 0, check.stderr
    assert node.holds(VIP)
    assert node.stop() == 0
    assert "read-only" not in node.text().lower()

    node.start(VIP, PASSWORD)
    node.wait_role("BACKUP", 15)
    assert identity_of(node) == identity


def identity_of(node: ContainerNode) -> str:
    """As the agent tells it: vipd answers earlier and does not know it."""
    return str(wait_until(lambda: node.status().get("node"), 5, "the agent's status"))


#: What is left away or wrong: options of podman run, arguments, words of the refusal.
REFUSED = {
    "NET_RAW": (
        ("--cap-add=NET_ADMIN",),
        (VIP, PASSWORD),
        ("capability NET_RAW: is missing", "run the container with --cap-add=NET_RAW"),
    ),
    "NET_ADMIN": (
        ("--cap-add=NET_RAW",),
        (VIP, PASSWORD),
        ("capability NET_ADMIN: is missing", "run the container with --cap-add=NET_ADMIN"),
    ),
    "the host's network": (
        ("--network=none", *CAPABILITIES),
        (VIP, PASSWORD),
        (f"{VIP} is in no subnet of this host", "--net=host"),
    ),
    "a VIP of this subnet": (
        CAPABILITIES,
        ("10.9.1.201", PASSWORD),
        ("10.9.1.201 is in no subnet of this host (10.0.1.11/24 on eth0)",),
    ),
    "a mounted file": (
        ("--volume=/usr/share/misc:/haproxy/haproxy.cfg",),
        (),
        ("/haproxy/haproxy.cfg: it is a directory; a file to mount that is missing becomes one",),
    ),
    "a place to write": (
        ("--read-only", "--read-only-tmpfs=false"),
        (),
        ("--run-dir: /run/lbctl: Read-only file system",),
    ),
    "root": (
        ("--user=haproxy",),
        (),
        ("--run-dir: /run/lbctl: Permission denied: it must be a directory that can be written",),
    ),
    "what root needs": (
        ("--cap-drop=SETUID", "--cap-drop=SETGID"),
        (),
        ("SETUID, SETGID missing: root starts haproxy, nginx and the agent as another user",),
    ),
}


@pytest.mark.parametrize("lack", REFUSED)
def test_start_without_what_it_needs_is_refused_in_words(run: Run, lack: str) -> None:
    flags, arguments, words = REFUSED[lack]
    done = run(*flags, IMAGE, *arguments)

    assert not refused(done, "lbctl: error: ", *words)
    assert done.returncode == 13
    assert "Traceback" not in done.stderr


def test_unprivileged_user_runs_a_plain_balancer_on_a_run_dir_of_his(start: Start) -> None:
    user = ("--user=haproxy", "--cap-drop=ALL", "--tmpfs=/run/lbctl:mode=1777")
    node = start(flags=(*user, "--env=LBCTL_HTTP_BIND=:8080"))
    node.wait_running("haproxy-01", "nginx", "agent", within_s=15)

    assert node.stop() == 0
