"""supervisord.conf, read back by supervisor's own words for it."""

from __future__ import annotations

import configparser
import re
import shlex
from pathlib import Path

import pytest

from lbctl.haproxy.cpus import Cpus
from lbctl.haproxy.processes import ProcessModel, plan_processes
from lbctl.haproxy.version import HaproxyVersion
from lbctl.launch.host import Account
from lbctl.launch.privileges import Privileges
from lbctl.launch.programs import Engine, Scene, program_names, supervised
from lbctl.launch.syslog import Receiver
from lbctl.layout import RunDir
from lbctl.render.supervisor import FOR_EVER, Output, Supervised, shell_line, supervisord_conf
from lbctl.settings.model import Haproxy
from lbctl.spec import ON_DEMAND, TASKS

RUN = RunDir(Path("/run/lbctl"))
ACCOUNT = Account("haproxy", 103, 107)
#: A stop of everything has this long before a container engine kills, seconds.
ALL_S = 10


def model() -> ProcessModel:
    return plan_processes(Haproxy(), RUN, Cpus((0, 1)), HaproxyVersion(2, 6, 12, "2.6.12"))


def parsed(
    engine: Engine = "ucarp",
    *,
    is_root: bool = True,
    more: tuple[str, ...] = (),
    socket_gid: int | None = None,
    syslog: tuple[str, ...] = (),
    **may: bool,
) -> configparser.RawConfigParser:
    scene = Scene(
        run=RUN,
        model=model(),
        privileges=Privileges("/usr/bin/setpriv", ACCOUNT, is_root, **may, socket_gid=socket_gid),
        binaries={"haproxy": "/usr/sbin/haproxy", "nginx": "/usr/sbin/nginx"},
        directory="/haproxy",
        engine=engine,
        drain_s=2.0,
        more=more,
        syslog=Receiver(syslog),
    )
    parser = configparser.RawConfigParser(inline_comment_prefixes=(";", "#"), strict=True)
    parser.read_string(
        supervisord_conf(supervised(scene), RUN, is_root=is_root, owner=f"0:{ACCOUNT.gid}")
    )
    return parser


def programs(parser: configparser.RawConfigParser) -> dict[str, dict[str, str]]:
    return {
        name.partition(":")[2]: dict(parser[name])
        for name in parser.sections()
        if name.startswith(("program:", "eventlistener:"))
    }


ENGINES: tuple[Engine, ...] = ("ucarp", "native", None)


@pytest.mark.parametrize("engine", ENGINES)
def test_every_program_of_the_picture_is_there(engine: Engine) -> None:
    names = program_names(model(), engine)

    assert set(programs(parsed(engine))) == {*names, *ON_DEMAND, *TASKS}
    assert ("vipd" in names, "ucarp" in names) == (engine is not None, engine == "ucarp")


def test_programs_stop_in_the_order_that_keeps_clients_and_the_log() -> None:
    priorities = {name: int(program["priority"]) for name, program in programs(parsed()).items()}
    order = sorted(priorities, key=lambda name: -priorities[name])

    assert order[0] == "ucarp"
    assert [name for name in order[3:] if name not in TASKS] == [
        *("nginx", "discovery", "agent", "vipd", "logd")
    ]
    assert parsed()["group:haproxy"]["priority"] == str(priorities["haproxy-01"])


def test_what_haproxy_asks_and_tells_stops_after_it() -> None:
    found = programs(parsed(more=("dnsmasq", "rsyslogd")))
    priorities = {name: int(found[name]["priority"]) for name in found}

    assert max(priorities["dnsmasq"], priorities["rsyslogd"]) < priorities["nginx"]
    assert min(priorities["dnsmasq"], priorities["rsyslogd"]) > priorities["agent"]
    assert not {"dnsmasq", "rsyslogd"} & set(programs(parsed()))


@pytest.mark.parametrize(
    ("places", "is_root"), [(("127.0.0.1:514",), False), (("127.0.0.1:514", "/dev/log"), True)]
)
def test_rsyslogd_is_root_for_a_path_alone(places: tuple[str, ...], is_root: bool) -> None:
    found = programs(parsed(more=("rsyslogd",), syslog=places))["rsyslogd"]["command"]

    assert ("--reuid" in found) != is_root
    assert "-all,+net_bind_service" in found
    assert "-n -i NONE -f " in found


def test_vipd_that_speaks_itself_leaves_before_anything_else_stops() -> None:
    native = programs(parsed("native"))
    order = sorted(native, key=lambda name: -int(native[name]["priority"]))
    vipd = native["vipd"]

    assert order[0] == "vipd"
    assert (vipd["stopsignal"], vipd["stopwaitsecs"]) == ("TERM", "4")
    assert programs(parsed("ucarp"))["ucarp"]["stopwaitsecs"] == "4"


@pytest.mark.parametrize("engine", ENGINES)
def test_stopping_ends_before_a_container_engine_kills(engine: Engine) -> None:
    waits: dict[str, int] = {}
    for name, program in programs(parsed(engine, more=("dnsmasq", "rsyslogd"))).items():
        waits[name.partition("-")[0]] = int(program["stopwaitsecs"])

    assert sum(waits.values()) <= ALL_S


def test_ucarp_waits_for_vipd_and_is_not_started_by_supervisord() -> None:
    ucarp = programs(parsed())["ucarp"]

    assert ucarp["autostart"] == "false"
    assert ucarp["stopsignal"] == "CONT"


def test_supervisord_prints_nothing_and_hands_on_descriptor_9() -> None:
    section = parsed()["supervisord"]

    assert section["silent"] == "true"
    assert section["nodaemon"] == "true"
    assert section["minfds"] == "9"
    for program in programs(parsed()).values():
        assert program["stdout_logfile"] == "NONE"
        assert program["stderr_logfile"] == "NONE"


def script_of(program: dict[str, str]) -> str:
    shell, option, script = shlex.split(program["command"].replace("%%", "%"))

    assert (shell, option) == ("/bin/sh", "-c")
    return script


def test_only_logd_writes_on_the_true_stdout_and_nobody_keeps_it() -> None:
    for name, program in programs(parsed()).items():
        script = script_of(program)

        assert ("1>&9" in script) is (name == "logd")
        assert script.endswith("9>&-")
        assert f"<>/run/lbctl/log/{name}.fifo" in script


def test_every_program_ends_with_supervisord() -> None:
    for program in programs(parsed()).values():
        assert "exec /usr/bin/setpriv --pdeathsig TERM " in script_of(program)


def test_privileges_are_the_least_that_will_do() -> None:
    scripts = {name: script_of(program) for name, program in programs(parsed()).items()}
    for name in ("haproxy-01", "nginx"):
        assert "--reuid 103 --regid 107" in scripts[name]
        assert "--ambient-caps -all,+net_bind_service" in scripts[name]
    assert "--ambient-caps -all " in scripts["agent"]
    for name in ("vipd", "ucarp"):
        assert "--bounding-set -all,+net_admin,+net_raw " in scripts[name]
    assert "--bounding-set -all " in scripts["logd"]


def test_vipd_alone_may_take_a_real_time_priority_where_that_can_be_had() -> None:
    scripts = {
        name: script_of(program)
        for name, program in programs(parsed("native", may_nice=True)).items()
    }

    assert [name for name, script in scripts.items() if "sys_nice" in script] == ["vipd"]
    assert "+net_admin,+net_raw,+sys_nice " in scripts["vipd"]
    assert "sys_nice" not in script_of(programs(parsed("native"))["vipd"])


@pytest.mark.parametrize("task", TASKS)
def test_a_task_is_started_by_somebody_else_and_not_again(task: str) -> None:
    section = programs(parsed())[task]

    assert (section["autostart"], section["autorestart"]) == ("false", "false")
    assert (section["startsecs"], section["stopwaitsecs"]) == ("0", "0")
    assert all(
        section["autorestart"] == "true" and (section["stopwaitsecs"] != "0" or name in ON_DEMAND)
        for name, section in programs(parsed()).items()
        if name not in TASKS
    )


def test_discovery_waits_until_it_is_wanted_and_never_gives_up() -> None:
    waits = programs(parsed())["discovery"]
    starts = programs(parsed(more=("discovery",)))["discovery"]

    assert (waits["autostart"], starts["autostart"]) == ("false", "true")
    assert int(starts["startretries"]) == FOR_EVER
    assert "discovery" not in program_names(model(), None)
    assert "discovery" in program_names(model(), None, ("discovery",))


def test_the_group_of_a_socket_is_discoverys_alone() -> None:
    with_socket = programs(parsed(socket_gid=998))
    groups = {
        name: found[1]
        for name, program in with_socket.items()
        if (found := re.search(r"--groups (\S+)", script_of(program)))
    }

    assert groups.pop("discovery") == f"{ACCOUNT.gid},998"
    assert not any("998" in found for found in groups.values())
    assert "--groups" not in script_of(programs(parsed())["discovery"])
    assert "--bounding-set -all " in script_of(with_socket["discovery"])
    assert "--groups" not in script_of(programs(parsed(is_root=False, socket_gid=998))["discovery"])


def test_a_task_may_read_what_belongs_to_others_and_set_no_address() -> None:
    scripts = {name: script_of(program) for name, program in programs(parsed()).items()}
    stage = re.search(r"--bounding-set (\S+)", scripts["stage"])
    full = programs(parsed(may_read_all=True))["certs"]

    assert stage is not None
    assert {"net_admin", "net_raw", "sys_nice"}.isdisjoint(stage[1].replace("+", "").split(","))
    assert "--bounding-set -all,+chown,+dac_override " in scripts["certs"]
    assert "--bounding-set -all,+chown,+dac_read_search " in script_of(full)
    assert "--reuid" not in scripts["stage"] + scripts["certs"]


def test_the_agent_does_not_end_by_a_hangup_before_it_has_a_handler() -> None:
    scripts = {name: script_of(program) for name, program in programs(parsed()).items()}

    assert [name for name, script in scripts.items() if "trap '' HUP" in script] == ["agent"]


def test_without_root_nobody_changes_the_user() -> None:
    parser = parsed(is_root=False)

    assert "user" not in parser["supervisord"]
    for program in programs(parser).values():
        assert "--reuid" not in program["command"]
        assert "--bounding-set" not in program["command"]


def test_odd_words_survive_shell_and_supervisor() -> None:
    argv = ["/usr/bin/printf", "%s", "a b", "it's", '"', "$HOME", "100%"]
    line = shell_line(argv, RUN.log_fifo("odd"), Output.FIFO)
    text = supervisord_conf([Supervised("odd", line, 1, "/")], RUN, is_root=False, owner="0:0")
    parser = configparser.RawConfigParser(inline_comment_prefixes=(";", "#"))
    parser.read_string(text)
    command = parser["program:odd"]["command"]

    assert command % {} == line
    script = shlex.split(command % {})[2]
    assert shlex.split(script)[1 : 1 + len(argv)] == argv
