"""Where every file is. Nothing else in lbctl joins a path to one of the three directories."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

#: A Unix socket's path may have 107 bytes; HAProxy binds to a temporary name first and takes ten.
SOCKET_PATH_MAX_BYTES = 97

#: What the operator's programs in ``hooks.d`` are run for.
HOOK_EVENTS = ("up", "down", "fault")

SHARE = Path(__file__).parent / "_share"


def share(part: str) -> Path:
    """The directory ``conf`` or ``hooks`` as shipped: inside the wheel, or beside the package."""
    installed = SHARE / part
    return installed if installed.is_dir() else Path(__file__).parent.parent / part


@dataclass(frozen=True, slots=True)
class ConfigDir:
    """What the operator owns (``/haproxy``). lbctl only reads it."""

    root: Path

    @property
    def settings(self) -> Path:
        return self.root / "lb.yaml"

    @property
    def haproxy_cfg(self) -> Path:
        return self.root / "haproxy.cfg"

    @property
    def haproxy_template(self) -> Path:
        return self.root / "haproxy.cfg.j2"

    @property
    def nginx_d(self) -> Path:
        return self.root / "nginx.d"

    @property
    def certs(self) -> Path:
        return self.root / "certs"

    @property
    def hooks_d(self) -> Path:
        """The operator's ``up``, ``down`` and ``fault``: each a program, or a directory of some."""
        return self.root / "hooks.d"

    def hooks(self, event: str) -> tuple[Path, ...]:
        """
        The programs for *event*, in the order in which they run; empty: there are none.

        Raises:
            OSError: it cannot be known.
        """
        path = self.hooks_d / event
        if path.is_dir():
            return tuple(sorted(one for one in path.iterdir() if not one.name.startswith(".")))
        # A link that leads nowhere was meant to be one.
        return (path,) if path.exists() or path.is_symlink() else ()


@dataclass(frozen=True, slots=True)
class RunDir:
    """
    What lives as long as the bundle (``/run/lbctl``).

    ``haproxy/``, ``nginx/`` and ``api/`` belong to the unprivileged user; ``ha/`` and ``log/`` to
    the user who started the bundle. ``ha/`` holds the CARP password and is closed to others.
    ``inputs/`` and ``trial/`` are his too, and the unprivileged user may read them.
    """

    root: Path

    @property
    def lock(self) -> Path:
        return self.root / "lock"

    @property
    def spec(self) -> Path:
        return self.root / "bundle.json"

    @property
    def supervisord_conf(self) -> Path:
        return self.root / "supervisord.conf"

    @property
    def supervisord_log(self) -> Path:
        return self.root / "supervisord.log"

    @property
    def supervisord_pid(self) -> Path:
        return self.root / "supervisord.pid"

    @property
    def supervisor_socket(self) -> Path:
        return self.root / "supervisor.sock"

    @property
    def haproxy(self) -> Path:
        return self.root / "haproxy"

    @property
    def haproxy_cfg(self) -> Path:
        return self.haproxy / "haproxy.cfg"

    @property
    def services_cfg(self) -> Path:
        """Generated backends, where ``haproxy.cfg`` is the operator's own; always loaded."""
        return self.haproxy / "services.cfg"

    def process_cfg(self, number: int) -> Path:
        """What lbctl adds for process *number*, 1 and up; number 0: for all under nbproc."""
        return self.haproxy / ("nbproc.cfg" if number == 0 else f"proc-{number:02d}.cfg")

    @property
    def threads_cfg(self) -> Path:
        """Loaded before ``haproxy.cfg`` where HAProxy takes the number of threads nowhere else."""
        return self.haproxy / "threads.cfg"

    def runtime_socket(self, number: int) -> Path:
        """The Runtime API of process *number*, 1 and up."""
        return self.haproxy / f"{number:02d}.sock"

    def master_socket(self, number: int) -> Path:
        """The master of the program whose first process is *number*."""
        return self.haproxy / f"master-{number:02d}.sock"

    @property
    def certs(self) -> Path:
        return self.haproxy / "certs"

    @property
    def nginx(self) -> Path:
        return self.root / "nginx"

    @property
    def nginx_conf(self) -> Path:
        return self.nginx / "nginx.conf"

    @property
    def nginx_pid(self) -> Path:
        return self.nginx / "nginx.pid"

    @property
    def nginx_tls(self) -> Path:
        """The pair and the parameters of TLS, for ``include tls.conf`` in nginx.d."""
        return self.nginx / "tls.conf"

    @property
    def nginx_page(self) -> Path:
        """What nginx serves until the operator gives it something."""
        return self.nginx / "www" / "index.html"

    @property
    def nginx_socket(self) -> Path:
        """Where HAProxy reaches the page that nginx serves."""
        return self.nginx / "http.sock"

    @property
    def rsyslogd_conf(self) -> Path:
        return self.root / "rsyslogd.conf"

    @property
    def ha(self) -> Path:
        return self.root / "ha"

    @property
    def password(self) -> Path:
        return self.ha / "password"

    @property
    def role(self) -> Path:
        return self.ha / "role.json"

    def role_of(self, vhid: int) -> Path:
        """The same for a further group."""
        return self.ha / f"role-{vhid}.json"

    @property
    def hook_python(self) -> Path:
        """Names the interpreter that can import lbctl: the hooks' slow path."""
        return self.ha / "python"

    @property
    def ucarp_launch(self) -> Path:
        """The shell line that becomes ucarp; vipd rewrites it when the node's worth changes."""
        return self.ha / "ucarp.sh"

    @property
    def vipd_socket(self) -> Path:
        return self.root / "vipd.sock"

    @property
    def api(self) -> Path:
        return self.root / "api"

    @property
    def api_socket(self) -> Path:
        return self.root / "api" / "api.sock"

    @property
    def scrape(self) -> Path:
        """What HAProxy's processes said when metrics were last asked for."""
        return self.root / "api" / "scrape"

    @property
    def discovery_socket(self) -> Path:
        """Where the program ``discovery`` tells the agent what it finds."""
        return self.root / "api" / "discovery.sock"

    @property
    def inputs(self) -> Path:
        """The operator's files as they were last found good: one file for each *generation*."""
        return self.root / "inputs"

    @property
    def inputs_lock(self) -> Path:
        """Held by whoever writes there."""
        return self.inputs / "lock"

    @property
    def current_generation(self) -> Path:
        """A link to the newest one."""
        return self.inputs / "current"

    def generation(self, number: int) -> Path:
        """The one with this number, 1 and up."""
        return self.inputs / f"{number:06d}.json"

    @property
    def inputs_copies(self) -> Path:
        """Generations again, as files of the unprivileged user: the others are closed to him."""
        return self.inputs / "copies"

    def verdict(self, task: str) -> Path:
        """What *task* last found."""
        return self.inputs / f"verdict-{task}.json"

    @property
    def trial(self) -> Path:
        """A run dir for files that are judged before they are taken; gone afterwards."""
        return self.root / "trial"

    @property
    def log(self) -> Path:
        return self.root / "log"

    def log_fifo(self, program: str) -> Path:
        """Where *program* writes what it says; logd reads it."""
        return self.log / f"{program}.fifo"

    @property
    def log_counters(self) -> Path:
        """logd's counters as JSON."""
        return self.log / "counters.json"


@dataclass(frozen=True, slots=True)
class StateDir:
    """What survives a restart (``/var/lib/lbctl``)."""

    root: Path

    @property
    def lock(self) -> Path:
        return self.root / "lock"

    @property
    def node_id(self) -> Path:
        return self.root / "node-id"

    @property
    def events(self) -> Path:
        return self.root / "events.jsonl"

    @property
    def history(self) -> Path:
        """Those of the events that are asked for months later."""
        return self.root / "history.jsonl"

    @property
    def server_states(self) -> Path:
        """What the operator wants of single servers: drain, maint, weights."""
        return self.root / "server-states.json"

    @property
    def discovery(self) -> Path:
        """What each source of services said last."""
        return self.root / "discovery"

    def snapshot(self, source: str) -> Path:
        """The same of one source: ``consul``, ``docker``."""
        return self.discovery / f"{source}.json"

    @property
    def registry(self) -> Path:
        """The registry's own store."""
        return self.root / "registry.sqlite"

    @property
    def ha(self) -> Path:
        """vipd's own: the state dir is the unprivileged user's, who must not write there."""
        return self.root / "ha"

    @property
    def carp(self) -> Path:
        """What the native engine must not forget: its own counter, and its peers'."""
        return self.ha / "carp.json"

    @property
    def pause(self) -> Path:
        """The newest word on whether the virtual addresses are to move."""
        return self.ha / "pause.json"

    @property
    def self_signed(self) -> Path:
        """The pair made at first start: certificate and key in one file."""
        return self.root / "self-signed.pem"
