"""
What becomes of a change of the operator's files, in a real bundle: at run time, by a reload that
nobody notices, or not at all.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from lbctl.lab.backend import serve
from lbctl.lab.wait import wait_until
from tests.balancers import Balancer, servers

pytestmark = pytest.mark.system


def test_a_server_more_serves_at_once_and_no_worker_is_another(here: Balancer) -> None:
    before = here.workers()
    here.services["hello/v1"]["servers"] += servers("w3")
    answer = here.reload()

    assert (answer["did"], answer["reasons"], answer["commands"]) == ("runtime", [], 2)
    assert here.workers() == before
    assert here.admins("w3") == {"ready"}
    assert here.asks() == {"w1", "w2", "w3"}
    assert "add hello:v1/w3 (127.0.0.1:7003): at run time on 2 processes" in here.events("apply")
    assert here.lbctl("render", "--diff") == ""


def test_a_route_more_is_a_reload_that_no_client_notices(here: Balancer) -> None:
    before = here.workers()
    here.services["hello/v1"]["routes"] = [{"path": "/hello/v1"}, {"path": "/ciao"}]
    here.write()
    told = here.lbctl("render", "--diff")
    with here.crowd("--new=2", "--kept=20") as crowd:
        answer = here.reload()
        counted = crowd.counted()

    assert told.splitlines()[-2:] == [
        "# it takes: a reload of HAProxy, because",
        "#   routes of hello/v1 change",
    ]
    assert (answer["did"], answer["reasons"]) == ("reload", ["routes of hello/v1 change"])
    assert not set(here.workers()) & set(before)
    assert here.asks("/ciao") == {"w1", "w2"}
    assert (counted.failed, counted.lost) == ({}, {})
    assert counted.new > 0
    assert counted.kept > 0


def test_broken_settings_change_nothing_and_name_the_line(here: Balancer) -> None:
    before = here.workers()
    here.configure({"services": [{"name": "hello/v1", "route": {"path": "hello"}}]})
    done = here.command("reload")
    said = here.events("reload")
    warned = here.command("status").stdout
    here.reload()
    calm = here.command("status").stdout

    assert done.returncode == 12
    assert "the operator's files were refused at 20" in " ".join(warned.split())
    assert "were refused" not in calm
    assert "services[0].route.path = 'hello': must begin with /" in done.stderr
    assert "lb.yaml:" in done.stderr
    assert f"not reloaded, asked for by root@{os.uname().nodename}: lb.yaml:" in said
    assert here.workers() == before
    assert here.asks() == {"w1", "w2"}


def test_broken_site_of_nginx_keeps_the_rest_of_the_reading_out_too(here: Balancer) -> None:
    here.config.nginx_d.mkdir(exist_ok=True)
    site = here.config.nginx_d / "odd.conf"
    site.write_text("server {\n    listen 8090;\n    lissten 8091;\n}\n")
    here.services["hello/v1"]["servers"] += servers("w3")
    said = here.reload(code=13)["said"]
    before = here.asks()
    site.write_text("server {\n    listen 8090;\n    return 200 mine;\n}\n")
    here.reload()

    assert f'{site}:3: unknown directive "lissten"' in said
    assert before == {"w1", "w2"}
    assert here.asks() == {"w1", "w2", "w3"}
    assert here.wait_answer(8090).endswith("mine")


def test_a_service_that_haproxy_refuses_is_named_and_all_others_go_through(here: Balancer) -> None:
    bad = {"tls": {"ca_file": "/not/there.pem"}, "servers": servers("w4")}
    here.services |= {"bad": bad, "good": {"servers": servers("w3")}}
    answer = here.reload(code=13)
    shown = here.lbctl("services")
    there = here.asks("/good"), here.asks("/hello/v1"), here.asks("/bad")
    here.services["bad"]["tls"] = {"ca_file": "/etc/ssl/certs/ca-certificates.crt"}
    again = here.reload()

    assert (answer["did"], answer["left_out"]) == ("reload", ["bad"])
    assert answer["reasons"] == ["good: the service is new"]
    assert "left out: " in shown
    assert "/not/there.pem" in shown
    assert there == ({"w3"}, {"w1", "w2"}, {"404"})
    assert again["reasons"] == ["bad: the service is new"]
    assert here.warnings() == ""


def test_a_service_that_becomes_a_refused_one_serves_as_before(here: Balancer) -> None:
    here.services["hello/v1"]["tls"] = {"ca_file": "/not/there.pem"}
    here.services["good"] = {"servers": servers("w3")}
    here.reload(code=13)

    assert (here.asks(), here.asks("/good")) == ({"w1", "w2"}, {"w3"})
    assert "service hello/v1 serves as it was before" in here.warnings()
    assert "service hello/v1 serves as it was before" in here.events("reload")


def test_a_port_that_another_program_has_keeps_only_its_service_out(here: Balancer) -> None:
    assert here.host is not None
    other = serve(here.host, port=5432)
    port = {"mode": "tcp", "route": {"port": 5432}, "servers": servers("w4")}
    here.services |= {"db": port, "good": {"servers": servers("w3")}}
    answer = here.reload(code=13)
    before = here.asks("/good"), here.asks("/hello/v1")
    said = here.warnings()
    other.stop()
    here.reload()

    assert answer["left_out"] == ["db"]
    assert before == ({"w3"}, {"w1", "w2"})
    assert "service db is left out: " in said
    assert "bind *:5432: another program listens there" in said
    assert here.asks("/", 5432) == {"w4"}


def test_sighup_to_supervisord_reads_the_files_and_restarts_nothing(here: Balancer) -> None:
    before = here.programs()
    workers = here.workers()
    assert here.process is not None
    here.services["hello/v1"]["servers"] += servers("w3")
    here.write()
    here.process.send_signal(signal.SIGHUP)
    here.wait_asks({"w1", "w2", "w3"})

    assert here.programs() == before
    assert here.workers() == workers
    wait_until(lambda: "asked for by SIGHUP" in here.lbctl("events"), 5, "the event")


def test_what_only_a_restart_brings_is_named_and_the_rest_is_brought(here: Balancer) -> None:
    here.settings["haproxy"] = {"processes": 1}
    here.services["hello/v1"]["servers"] += servers("w3")
    answer = here.reload()
    shown = here.lbctl("render", "--diff")

    assert answer["restart"] == ["haproxy.processes"]
    assert here.asks() == {"w1", "w2", "w3"}
    assert "haproxy.processes" in shown
    assert Path(f"/proc/{here.pid_of('haproxy-02')}").exists()
