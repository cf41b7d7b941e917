"""
The number of threads in a first file: how HAProxy 2.7 to 2.9 take it, tried on 3.0, whose parser
has the same rule.
"""

from __future__ import annotations

import socket
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from lbctl.haproxy.check import check_configuration
from lbctl.haproxy.cpus import usable_cpus
from lbctl.haproxy.processes import ProcessModel, plan_processes
from lbctl.haproxy.version import read_version
from lbctl.lab.wait import wait_until
from lbctl.layout import RunDir
from lbctl.render.haproxy import process_files
from lbctl.settings.model import Haproxy, Http, Settings, Stats
from tests.binaries import BINARIES
from tests.generated import generated_cfg
from tests.places import free_ports

pytestmark = pytest.mark.contract

BINARY = BINARIES["3.0"]


def written(run_dir: RunDir) -> ProcessModel:
    """The files of one process with one thread, as for HAProxy 2.8."""
    run_dir.haproxy.mkdir(parents=True)
    http, stats = free_ports(2)
    settings = Settings(
        haproxy=Haproxy(processes=1, stats=Stats(port_base=stats)),
        http=Http(bind=f"127.0.0.1:{http}"),
    )
    version = replace(read_version(BINARY), major=2, minor=8)
    model = plan_processes(settings.haproxy, run_dir, usable_cpus(), version)
    files = process_files(
        model.processes, settings, run_dir, is_nbproc=False, threads_in=version.threads_in
    )
    files[run_dir.haproxy_cfg] = generated_cfg(settings, run_dir, has_certs=False)
    files[run_dir.services_cfg] = "# none\n"
    for path, text in files.items():
        path.write_text(text)
    return model


def threads(runtime_socket: Path) -> str:
    with socket.socket(socket.AF_UNIX) as runtime:
        runtime.connect(str(runtime_socket))
        runtime.sendall(b"show info\n")
        reply = b"".join(iter(lambda: runtime.recv(65536), b"")).decode()
    return next(line for line in reply.splitlines() if line.startswith("Nbthread: "))


def test_a_first_file_sets_the_threads_without_a_word_of_warning(tmp_path: Path) -> None:
    run_dir = RunDir(tmp_path / "run")
    model = written(run_dir)
    warnings = check_configuration(BINARY, model.files("haproxy-01", run_dir))
    process = subprocess.Popen(model.argv("haproxy-01", run_dir, binary=BINARY))
    try:
        wait_until(run_dir.runtime_socket(1).exists, 10, "HAProxy to listen")
        said = threads(run_dir.runtime_socket(1))
    finally:
        process.terminate()
        process.wait(10)

    assert warnings == ()
    assert said == "Nbthread: 1"
