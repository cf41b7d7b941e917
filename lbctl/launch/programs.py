"""
The supervised programs: what runs with which privileges, and in which order it stops.

Stopping, highest number first: ucarp (vipd meanwhile drains, hands the addresses over and ends
ucarp), HAProxy, nginx, what these two asked and told (dnsmasq, rsyslogd), discovery, agent, vipd,
and logd, which tells of all the others. Where vipd speaks CARP itself it is the first: it leaves
when it is told to stop, and what it leaves with serves meanwhile.
"""

from __future__ import annotations

import math
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from lbctl.haproxy.processes import ProcessModel
from lbctl.launch.privileges import Kind, Privileges
from lbctl.launch.syslog import Receiver, rsyslogd_options
from lbctl.layout import RunDir
from lbctl.render.supervisor import FOR_EVER, Output, Supervised, shell_line
from lbctl.spec import Task

#: Who speaks CARP; None: nobody, a plain balancer.
Engine = Literal["ucarp", "native"] | None

HAPROXY_GROUP = "haproxy"
_STOP_S = 2
#: All that stop one after the other must be gone in the 10 s that a container engine gives them.
_NGINX_STOP_S = 1
_LOGD, _VIPD, _AGENT, _DISCOVERY, _HELPER, _NGINX, _HAPROXY, _SPEAKER = 1, 2, 3, 4, 5, 10, 20, 30


@dataclass(frozen=True, slots=True)
class Scene:
    """
    What the programs run with.

    Attributes:
        binaries: name -> path of haproxy, nginx.
        directory: where HAProxy runs: paths in the operator's file start there.
        engine: who speaks CARP for the virtual addresses.
        drain_s: longest wait for clients when leaving on purpose.
        nginx_options: what this nginx understands on its command line.
        more: see :func:`program_names`.
        dnsmasq: its command line behind the program's name.
        syslog: what rsyslogd receives.
    """

    run: RunDir
    model: ProcessModel
    privileges: Privileges
    binaries: Mapping[str, str]
    directory: str
    engine: Engine
    drain_s: float
    nginx_options: tuple[str, ...] = ()
    more: tuple[str, ...] = ()
    dnsmasq: tuple[str, ...] = ()
    syslog: Receiver = field(default_factory=Receiver)


def program_names(model: ProcessModel, engine: Engine, more: Sequence[str] = ()) -> tuple[str, ...]:
    """
    All that run, in the order of the picture.

    Args:
        more: those that run where lb.yaml wants them: ``discovery``, ``dnsmasq``, ``rsyslogd``.
    """
    speakers = {None: (), "ucarp": ("ucarp", "vipd"), "native": ("vipd",)}[engine]
    return (*model.programs, "nginx", *speakers, "agent", *more, "logd")


def supervised(scene: Scene) -> tuple[Supervised, ...]:
    """All of them, with their command lines."""
    programs = [*_haproxies(scene), _nginx(scene)]
    if scene.engine == "ucarp":
        programs += [_ucarp(scene), _daemon(scene, "vipd", _VIPD, Kind.NETWORK)]
    elif scene.engine == "native":
        vipd = _daemon(scene, "vipd", _SPEAKER, Kind.NETWORK)
        programs.append(replace(vipd, stop_wait_s=_leaving_s(scene)))
    programs += [_agent(scene), _discovery(scene), *_helpers(scene), *_tasks(scene)]
    return (*programs, _logd(scene))


def _haproxies(scene: Scene) -> list[Supervised]:
    # With virtual addresses clients are waited for while the speaker is being stopped.
    wait_s = _STOP_S if scene.engine else math.ceil(scene.drain_s) + 1
    return [
        Supervised(
            name,
            _line(
                scene,
                name,
                Kind.SERVER,
                *scene.model.argv(name, scene.run, binary=scene.binaries["haproxy"]),
            ),
            _HAPROXY,
            scene.directory,
            stop_signal="USR1",
            stop_wait_s=wait_s,
            group=HAPROXY_GROUP,
        )
        for name in scene.model.programs
    ]


def _nginx(scene: Scene) -> Supervised:
    prefix = scene.privileges.prefix(Kind.SERVER)
    # As the user itself: what it left in the pid file must not lead root's kill.
    before = shlex.join([*prefix, "/bin/sh", "-c", _end_remains(scene.run)])
    command = shell_line(
        [*prefix, *nginx_argv(scene)],
        scene.run.log_fifo("nginx"),
        Output.FIFO,
        before=f"{before}; ",
    )
    return Supervised(
        "nginx",
        command,
        _NGINX,
        str(scene.run.root),
        stop_signal="QUIT",
        stop_wait_s=_NGINX_STOP_S,
    )


def nginx_argv(scene: Scene) -> tuple[str, ...]:
    return (scene.binaries["nginx"], *scene.nginx_options, "-c", str(scene.run.nginx_conf))


def _end_remains(run: RunDir) -> str:
    """
    A killed master leaves its workers on the ports and its socket in the file system; the next one
    would fail on either. As long as a worker lives, no new process gets its group's number.
    """
    pid, socket = shlex.quote(str(run.nginx_pid)), shlex.quote(str(run.nginx_socket))
    # dash knows "--" after "-s KILL" alone.
    end_workers = f'if read -r P <{pid} && ! kill -0 "$P"; then kill -s KILL -- "-$P"; fi'
    return f"{{ {end_workers}; }} 2>/dev/null; rm -f {socket}"


def _ucarp(scene: Scene) -> Supervised:
    # CONT is harmless: the one who ends ucarp is vipd, once the peer has the addresses.
    return Supervised(
        "ucarp",
        _line(scene, "ucarp", Kind.NETWORK, "/bin/sh", str(scene.run.ucarp_launch)),
        _SPEAKER,
        str(scene.run.root),
        stop_signal="CONT",
        stop_wait_s=_leaving_s(scene),
        autostart=False,
    )


def _leaving_s(scene: Scene) -> int:
    """Time to drain, and to hear the peer take over."""
    return math.ceil(scene.drain_s) + 2


def _agent(scene: Scene) -> Supervised:
    # SIGHUP reaches it whenever somebody sends one: until it has a handler it is not to end by it.
    return _daemon(scene, "agent", _AGENT, Kind.USER, "nice", "-n", "5", shell="trap '' HUP; ")


def _discovery(scene: Scene) -> Supervised:
    """There in any case: the agent starts it when it is wanted later."""
    argv = ["nice", "-n", "5", *_python(scene, "discovery")]
    return Supervised(
        "discovery",
        _line(scene, "discovery", Kind.FINDER, *argv),
        _DISCOVERY,
        str(scene.run.root),
        # It writes what is not on disk yet; ucarp takes the last of the time that there is.
        stop_wait_s=0 if scene.engine == "ucarp" else 1,
        autostart="discovery" in scene.more,
        start_retries=FOR_EVER,
    )


def _helpers(scene: Scene) -> Iterator[Supervised]:
    """Debian's own programs; both are there before HAProxy, and after it."""
    if "dnsmasq" in scene.more:
        argv = (scene.binaries.get("dnsmasq", "dnsmasq"), *scene.dnsmasq)
        yield _helper(scene, "dnsmasq", Kind.SERVER, *argv)
    if "rsyslogd" in scene.more:
        kind = Kind.RECEIVER if scene.syslog.has_path else Kind.SERVER
        yield _helper(scene, "rsyslogd", kind, "rsyslogd", *rsyslogd_options(scene.run))


def _helper(scene: Scene, name: str, kind: Kind, *argv: str) -> Supervised:
    return Supervised(
        name,
        _line(scene, name, kind, *argv),
        _HELPER,
        str(scene.run.root),
        # Both end within milliseconds, and what they hold is a few lines.
        stop_wait_s=0,
        start_retries=FOR_EVER,
    )


def _tasks(scene: Scene) -> list[Supervised]:
    """Whatever they are about when the bundle stops is not wanted any more."""
    kinds: dict[Task, Kind] = {"stage": Kind.JUDGE, "certs": Kind.READER}
    return [
        Supervised(
            name,
            _line(scene, name, kind, *_python(scene, name)),
            _AGENT,
            str(scene.run.root),
            stop_wait_s=0,
            autostart=False,
            start_retries=0,
            is_task=True,
        )
        for name, kind in kinds.items()
    ]


def _daemon(
    scene: Scene, name: str, priority: int, kind: Kind, *before: str, shell: str = ""
) -> Supervised:
    argv = [*scene.privileges.prefix(kind), *before, *_python(scene, name)]
    return Supervised(
        name,
        shell_line(argv, scene.run.log_fifo(name), Output.PROTOCOL, before=shell),
        priority,
        str(scene.run.root),
        stop_wait_s=1,
        start_retries=FOR_EVER,
        is_listener=True,
    )


def _logd(scene: Scene) -> Supervised:
    argv = [*scene.privileges.prefix(Kind.NOTHING), *_python(scene, "logd")]
    return Supervised(
        "logd",
        shell_line(argv, scene.run.log_fifo("logd"), Output.TRUE_STDOUT),
        _LOGD,
        str(scene.run.root),
        stop_wait_s=1,
        start_retries=FOR_EVER,
    )


def _line(scene: Scene, name: str, kind: Kind, *argv: str) -> str:
    words = [*scene.privileges.prefix(kind), *argv]
    return shell_line(words, scene.run.log_fifo(name), Output.FIFO)


def _python(scene: Scene, name: str) -> list[str]:
    return [sys.executable, "-I", "-m", f"lbctl.daemons.{name}", str(scene.run.root)]
