"""``lbctl support`` with secrets in every place where they are known to stand: none comes out."""

from __future__ import annotations

import asyncio
import io
import json
import os
import stat
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest

from lbctl.agent.eventlog import EventLog
from lbctl.cli.main import main
from lbctl.errors import EXIT_OK, EXIT_USAGE
from lbctl.launch.identity import make_pair
from lbctl.layout import ConfigDir, RunDir, StateDir
from lbctl.spec import CheckSpec
from lbctl.support.gather import PART_MAX_BYTES, Gap, Part, Source, command, file, gather
from tests.fakes.small_bundle import small_bundle
from tests.places import NOBODY, open_directory
from tests.specs import bundle_spec

pytestmark = pytest.mark.contract

MARK = "mArk3r"
CARP = f"{MARK}-carp"
STATS = f"{MARK}-stats"
REPOSITORY = Path(__file__).parents[2]

_CFG = f"""\
global
    setenv API_KEY {MARK}1
userlist staff
    user joe insecure-password {MARK}2
frontend web
    bind :80
    stats auth admin:{MARK}3
    http-request set-header Authorization "Basic {MARK}4"
    http-request deny unless {{ req.hdr(X-Token) -m str {MARK}5 {MARK}6 }}
backend api
    option httpchk GET / HTTP/1.1\\r\\nAuthorization:\\ Bearer\\ {MARK}7
    # before: stats auth old:{MARK}9
"""
_YAML = f"""\
ha:
  track:
    - name: web
      http: http://joe:{MARK}y1@127.0.0.1/health?token={MARK}y2
      headers: {{Host: a.example, X-Odd: {MARK}y3}}
    - name: db
      command: [/usr/bin/check, --password, {MARK}y4]
haproxy: {{stats: {{password_file: /etc/lbctl/stats}}}}
"""
_NGINX = f"""\
server {{
    set $api_token {MARK}n1;
    proxy_set_header Authorization "Basic {MARK}n2";
    if ($http_x_api_key != "{MARK}n3") {{ return 403; }}
}}
"""


def _plant(root: Path) -> tuple[ConfigDir, RunDir, StateDir, list[str]]:
    """Directories of a bundle that ran, with secrets; the words that must not come out."""
    config, run = ConfigDir(root / "config"), RunDir(root / "run")
    state = StateDir(root / "state")
    operators = (config.nginx_d, config.certs, config.hooks_d)
    for place in (*operators, run.haproxy, run.certs, run.ha, run.inputs, run.trial, state.ha):
        place.mkdir(parents=True)
    state.pause.write_text('{"is_on": true}')
    config.haproxy_cfg.write_text(_CFG)
    config.settings.write_text(_YAML)
    (config.nginx_d / "site.conf").write_text(_NGINX)
    (config.nginx_d / "users.htpasswd").write_text(f"joe:{{PLAIN}}{MARK}h\n")
    (config.hooks_d / "up").write_text(f"curl https://hooks.example.com/{MARK}\n")
    # No place that anybody knows: what is in these directories is never read.
    for place in (config.hooks_d, config.certs, run.certs, run.inputs, run.trial):
        (place / "own.conf").write_text(f"say {MARK}o to them\n")
    pem = make_pair("lb1.example.org")
    for place in (config.certs / "a.pem", run.certs / "a.pem", state.self_signed):
        place.write_text(pem)
    run.haproxy_cfg.write_text(config.haproxy_cfg.read_text())
    run.process_cfg(1).write_text(f"userlist s\n    user 'admin' insecure-password '{STATS}'\n")
    run.password.write_text(f"{CARP}\n")
    run.ucarp_launch.write_text(f"exec ucarp --passfile={run.password} --pass={CARP}\n")
    checks = (
        CheckSpec("web", "http", "http://a/", headers=(("X-Odd", f"{MARK}b1"),)),
        CheckSpec("db", "command", argv=("/bin/check", "--token", f"{MARK}b2")),
    )
    _plant_inputs(run)
    run.spec.write_text(bundle_spec(checks=checks).to_json())
    run.supervisord_log.write_text(f"spawnerr: {CARP} and {STATS}\n")
    log = EventLog(state.events, "n", history=state.history)
    log.append("role", f"BACKUP -> MASTER: {CARP}", {"why": [CARP, {"said": STATS}]})
    log.append("fault", f"web: http://joe:{MARK}e1@a/ gave 503", {"token": f"{MARK}e2"})
    key_lines = pem[pem.index("PRIVATE KEY-----") :].splitlines()[1:3]
    return config, run, state, [MARK, *key_lines]


def _plant_inputs(run: RunDir) -> None:
    run.generation(1).write_text(f'{{"certs": "{MARK}g"}}')
    run.current_generation.symlink_to(run.generation(1).name)
    run.verdict("stage").write_text('{"code": 0}')


def _options(config: ConfigDir, run: RunDir, state: StateDir) -> list[str]:
    return [f"--config-dir={config.root}", f"--run-dir={run.root}", f"--state-dir={state.root}"]


def _members(data: bytes) -> dict[str, str]:
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        files = [(one, archive.extractfile(one)) for one in archive.getmembers()]
        assert {one.mode for one, _ in files} == {0o600}
        return {
            one.name.partition("/")[2]: stream.read().decode() for one, stream in files if stream
        }


@pytest.fixture(name="archive", scope="module")
def _archive(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, str], list[str], Path]:
    """Of a bundle that does not run any more."""
    root = tmp_path_factory.mktemp("support")
    config, run, state, words = _plant(root)
    target = root / "out.tar.gz"
    began = time.monotonic()

    assert main(["support", "-o", str(target), *_options(config, run, state)]) == EXIT_OK

    assert time.monotonic() - began < 30
    return _members(target.read_bytes()), words, target


def test_no_secret_is_in_the_archive(archive: tuple[dict[str, str], list[str], Path]) -> None:
    members, words, _ = archive
    found = {(name, word) for name, text in members.items() for word in words if word in text}

    assert found == set()


def test_what_helps_is_in_it(archive: tuple[dict[str, str], list[str], Path]) -> None:
    members, _, _ = archive

    for name, wanted in {
        "config/haproxy.cfg": "stats auth admin:***",
        "config/lb.yaml": "password_file: /etc/lbctl/stats",
        "config/nginx.d/site.conf": "set $api_token ***",
        "config/LISTING.txt": "hooks.d/up",
        "run/haproxy/proc-01.cfg": "insecure-password ***",
        "run/bundle.json": "haproxy_version",
        "run/supervisord.log": "spawnerr: *** and ***",
        "run/inputs/verdict-stage.json": '"code": 0',
        "state/history.jsonl": "BACKUP -> MASTER: ***",
        "host/certificates.txt": "CN=lb1.example.org",
        "host/ip-addr.txt": "lo:",
        "host/haproxy.txt": "HAProxy version",
        "host/sysctls.txt": "net.ipv4.ip_nonlocal_bind = ",
        "host/own-rights.txt": "CapEff",
        "MANIFEST.txt": "no bundle runs on this --run-dir",
    }.items():
        assert wanted in members[name], name
    assert not {name for name in members if "password" in name or name.endswith((".pem", "/up"))}
    assert all(json.loads(line) for line in members["state/events.jsonl"].splitlines())


def test_the_archive_is_its_owners_and_replaces_nothing(
    archive: tuple[dict[str, str], list[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    _, _, target = archive
    before = target.read_bytes()

    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert main(["support", "-o", str(target)]) == EXIT_USAGE
    assert "is there already" in capsys.readouterr().err
    assert target.read_bytes() == before


def test_without_root_it_says_what_it_lacks() -> None:
    with open_directory() as root:
        config, run, state, words = _plant(root)
        for place in (run.ha, state.ha):
            place.chmod(0o700)
        command = [sys.executable, "-m", "lbctl", "support", "-o", "-"]
        argv = [*NOBODY, *command, *_options(config, run, state)]
        done = subprocess.run(argv, capture_output=True, cwd=REPOSITORY, timeout=60)
    assert done.returncode == EXIT_OK, done.stderr
    members = _members(done.stdout)

    assert "the CARP password is not known here" in members["MANIFEST.txt"]
    assert "state/pause.json: Permission denied" in members["MANIFEST.txt"]
    assert b"not had: api/status.json" in done.stderr
    assert not {name for name in members if name.startswith("run/ha/")}
    assert not {name for name, text in members.items() if words[1] in text}
    assert f"{MARK}2" not in members["config/haproxy.cfg"]


def test_of_a_bundle_that_runs_the_status_is_in_it(tmp_path: Path) -> None:
    with small_bundle(tmp_path, processes=1) as bundle:
        out = tmp_path / "out.tar.gz"
        state = f"--state-dir={bundle.spec.state_dir}"
        options = [f"--config-dir={tmp_path}/none", f"--run-dir={bundle.run.root}", state]
        assert main(["support", "-o", str(out), *options]) == EXIT_OK
        members = _members(out.read_bytes())

    assert json.loads(members["api/status.json"])["ha"]["role"] == "MASTER"
    assert json.loads(members["api/stats.json"])["rows"]
    assert members["host/processes.txt"].count("pid ") >= 4
    assert "lbctl.daemons.agent" not in members["host/processes.txt"]


def _gathered(*sources: Source) -> list[Part | Gap]:
    parts, gaps = asyncio.run(gather(sources))
    return [*parts, *gaps]


def test_a_program_that_hangs_costs_its_limit_and_is_ended(tmp_path: Path) -> None:
    script = f"echo $$ > {tmp_path}/pid; sleep 60 & wait"
    began = time.monotonic()
    (gap,) = _gathered(command("a.txt", ["sh", "-c", script], limit_s=0.3))

    assert gap == Gap("a.txt", "no answer in 0.3 s")
    assert time.monotonic() - began < 3
    assert not Path(f"/proc/{(tmp_path / 'pid').read_text().strip()}").exists()


def test_a_program_that_never_ends_talking_is_cut() -> None:
    (part,) = _gathered(command("a.txt", ["yes"], limit_s=0.3))

    assert isinstance(part, Part)
    assert PART_MAX_BYTES <= len(part.text) < PART_MAX_BYTES + 100
    assert part.text.endswith("[killed: took longer than 0.3 s]\n")


def test_a_program_that_is_missing_or_fails_is_told() -> None:
    part, gap = _gathered(command("a", ["no-such-program"]), command("b", ["sh", "-c", "exit 3"]))

    assert part == Part("b", "[exit code 3]\n")
    assert gap == Gap("a", "no-such-program is not installed")


@pytest.mark.parametrize("is_tail", [False, True])
def test_a_long_file_is_cut_and_a_pipe_holds_nobody_up(tmp_path: Path, is_tail: bool) -> None:
    long, pipe = tmp_path / "long", tmp_path / "pipe"
    long.write_text("first\n" + "x" * 99 * 20_000 + "\nlast\n")
    os.mkfifo(pipe)
    part, gap = _gathered(file("long", long, is_tail=is_tail), file("pipe", pipe, is_tail=is_tail))

    assert isinstance(part, Part)
    assert len(part.text) <= PART_MAX_BYTES + 100
    assert ("first\n" in part.text, "last\n" in part.text) == (not is_tail, is_tail)
    assert gap == Gap("pipe", "no regular file")
