"""
The rules about sources of services, the registry, the API and syslog in lb.yaml. Pure, as
:mod:`lbctl.settings.rules`, which names the keys that each of them is for.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from typing import Any, Final
from urllib.parse import urlsplit

from lbctl.settings import web_rules
from lbctl.settings.discovery import IN_CLUSTER
from lbctl.settings.model import Settings

Said = str | None

_EXAMPLES: Final = {
    "http": "http://127.0.0.1:{port}",
    "https": "https://{name}.example.com:{port}",
    "tcp": "tcp://127.0.0.1:{port}",
    "unix": "unix:///run/{name}.sock",
}
_KV: Final = re.compile(r"[A-Za-z0-9._~:+@,=/-]+")
_TABLE: Final = re.compile(r"[A-Za-z0-9._-]{3,255}")
_REGION: Final = re.compile(r"[a-z0-9-]{1,40}")
#: As Kubernetes has it (RFC 1123).
_NAMESPACE: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_SYSLOG: Final = re.compile(r"(?P<host>[^\[\]:]+|\[[^\[\]]*\])(:(?P<port>[1-9][0-9]{0,4}))?")
#: The kernel's, sun_path without its end.
_SOCKET_MAX_BYTES: Final = 107


def consul_problem(text: str) -> Said:
    """Where Consul's HTTP API is."""
    return _base_problem(text, ("http", "https", "unix"), "8500", "consul")


def docker_problem(text: str) -> Said:
    """Where an Engine API is; ``tcp`` is HTTP, by Docker's own word for it."""
    return _base_problem(text, ("unix", "tcp", "http", "https"), "2375", "docker")


def kubernetes_problem(text: str) -> Said:
    """Where the API server is, or that the pod knows."""
    if text == IN_CLUSTER:
        return None
    what = _base_problem(text, ("https", "http"), "6443", "kubernetes")
    return f"{what}; in a pod: {IN_CLUSTER}" if what and what.startswith("must be") else what


def namespace_problem(text: str) -> Said:
    """As Kubernetes has it."""
    return None if _NAMESPACE.fullmatch(text) else "must be the name of a namespace, as in default"


def api_problem(text: str) -> Said:
    """Where the API of another lbctl, or DynamoDB's, is."""
    return _base_problem(text, ("http", "https"), "9000", "lbctl")


def socket_problem(path: str) -> Said:
    """A Unix socket by its path."""
    if not path.startswith("/"):
        return "must be an absolute path"
    if len(path.encode()) > _SOCKET_MAX_BYTES:
        return f"must have at most {_SOCKET_MAX_BYTES} bytes, as the path of a socket"
    return None


def kv_problem(text: str) -> Said:
    """A prefix of keys in Consul: no slash at its ends, as Consul's own are written."""
    if text.startswith("/") or text.endswith("/") or "//" in text:
        return "must be a prefix of keys, without / at its ends, as in service/haproxy"
    if not _KV.fullmatch(text):
        return "must be letters, digits and ._~:+@,=/-"
    return None


def word_problem(text: str) -> Said:
    """A name that goes into the query of a request, or into a path."""
    if not text.strip() or text != text.strip():
        return "must be a name without blanks around it"
    return None


def table_problem(text: str) -> Said:
    """As DynamoDB has it."""
    if _TABLE.fullmatch(text):
        return None
    return "must be the name of a table: 3 to 255 letters, digits and ._-"


def region_problem(text: str) -> Said:
    """As AWS has it."""
    return None if _REGION.fullmatch(text) else "must be the name of a region, as in eu-central-1"


def ip_or_host_problem(text: str) -> Said:
    """An address or a name, without port; an IPv6 address without brackets."""
    if ":" in text:
        what = "must be an IP address or the name of a host, without port"
        return web_rules.address_problem(f"[{text}]:1") and what
    return web_rules.host_problem(text)


def tag_problem(text: str) -> Said:
    """What a tag of Consul stands for."""
    return None if text in ("http", "tcp") else "must be one of http, tcp"


def syslogs_problem(places: Sequence[str]) -> Said:
    """Sockets by their absolute paths, and addresses, whose port may be left out: 514."""
    for text in places:
        if what := _syslog_problem(text):
            return f"{text!r}: {what}"
    twice = sorted({text for text in places if places.count(text) > 1})
    return f"must name each once; twice: {', '.join(twice)}" if twice else None


def _syslog_problem(text: str) -> Said:
    if text.startswith("/"):
        return socket_problem(text)
    rule = "must be an absolute path, or an IP address with a port, as in 127.0.0.1:514"
    found = _SYSLOG.fullmatch(text)
    if found is None:
        return rule
    host, port = found["host"].strip("[]"), found["port"] or "514"
    # To listen on, where a nameserver's must be one to ask.
    is_any = host in ("0.0.0.0", "::")
    shown = f"[{host}]" if ":" in host else host
    is_bad = not is_any and web_rules.nameservers_problem([f"{shown}:{port}"])
    return rule if is_bad or int(port) > 65535 else None


def _base_problem(text: str, schemes: Sequence[str], port: str, name: str) -> Said:
    """A URL without path, since ours begin at its root."""
    examples = [_EXAMPLES[one].format(port=port, name=name) for one in schemes[:2]]
    rule = f"must be a URL ({', '.join(schemes)}), as in {' or '.join(examples)}"
    scheme, sign, rest = text.partition("://")
    if not sign or scheme not in schemes:
        return rule
    if scheme == "unix":
        return socket_problem(rest)
    try:
        url = urlsplit(text)
        is_whole = url.hostname is not None and url.port != 0
    except ValueError:
        return rule
    if url.username is not None or url.password is not None:
        return "must hold no user and no password: others may read lb.yaml"
    if not is_whole:
        return rule
    if what := ip_or_host_problem(url.hostname or ""):
        return f"{what}: {rule}" if what.startswith("is ") else rule
    if url.path not in ("", "/") or url.query or url.fragment:
        return "must end with the port: what is asked for there is not the operator's to choose"
    return None


#: By key.
VALUES: Final[Mapping[str, Callable[[str], Said]]] = {
    "discovery.hosts.path": web_rules.file_problem,
    "discovery.consul.url": consul_problem,
    "discovery.consul.datacenter": word_problem,
    "discovery.consul.kv_prefix": kv_problem,
    **{
        f"discovery.consul.{name}": web_rules.file_problem
        for name in ("token_file", "ca_file", "cert_file", "key_file")
    },
    "discovery.docker.url": docker_problem,
    "discovery.docker.network": word_problem,
    "discovery.docker.host_address": ip_or_host_problem,
    "discovery.docker.report_to.url": api_problem,
    "discovery.docker.report_to.token_file": web_rules.file_problem,
    "discovery.docker.report_to.table": word_problem,
    "discovery.kubernetes.url": kubernetes_problem,
    "discovery.kubernetes.namespace": namespace_problem,
    "discovery.kubernetes.selector": word_problem,
    **{
        f"discovery.kubernetes.{name}": web_rules.file_problem
        for name in ("token_file", "ca_file", "cert_file", "key_file")
    },
    "registry.consul_prefix": kv_problem,
    "registry.dynamodb_table": table_problem,
    "registry.dynamodb_region": region_problem,
    "registry.dynamodb_endpoint": api_problem,
    **{
        f"api.{name}": web_rules.file_problem
        for name in ("token_file", "read_token_file", "tls.cert_file", "tls.key_file")
    },
    **{
        f"{source}.check.{name}": rule
        for source in (
            *("discovery.consul", "discovery.docker", "discovery.kubernetes"),
            "registry",
        )
        for name, rule in (
            ("path", web_rules.check_path_problem),
            ("host", web_rules.host_port_problem),
        )
    },
}

LISTS: Final[Mapping[str, Callable[[Sequence[str]], Said]]] = {
    "discovery.dns.nameservers": web_rules.nameservers_problem,
    "syslog.listen": syslogs_problem,
}

#: What each value of a mapping with any names must be.
MAPPINGS: Final[Mapping[str, Callable[[str], Said]]] = {"discovery.consul.tags": tag_problem}


def api_is_guarded(settings: Settings) -> Said:
    """Whoever reaches the API may move addresses."""
    api = settings.api
    if api.bind is None or api.token_file is not None or api.read_token_file is not None:
        return None
    return (
        f"api.bind = {api.bind!r}: anyone who reaches it could change what is served: set "
        "api.token_file, or api.read_token_file where nobody is to change anything"
    )


def api_tokens_differ(settings: Settings) -> Said:
    """One token cannot be both."""
    api = settings.api
    if api.read_token_file is None or api.read_token_file != api.token_file:
        return None
    return (
        f"api.read_token_file = {api.read_token_file!r}: is api.token_file: whoever is to "
        "look only needs a token of his own"
    )


def pair_rule(section: str) -> Callable[[Settings], Said]:
    """A key is of no use without its certificate."""

    def rule(settings: Settings) -> Said:
        found: Any = reduce(getattr, section.split("."), settings)
        if found.key_file is None or found.cert_file is not None:
            return None
        return (
            f"{section}.key_file = {found.key_file!r}: is the key of no certificate: set "
            f"{section}.cert_file too"
        )

    return rule


def consul_tls(settings: Settings) -> Said:
    """Certificates with a URL that speaks no TLS."""
    consul = settings.discovery.consul
    files = {"ca_file": consul.ca_file, "cert_file": consul.cert_file}
    given = [f"discovery.consul.{name}" for name, path in files.items() if path is not None]
    if not given or consul.url is None or consul.url.startswith("https:"):
        return None
    return f"discovery.consul.url = {consul.url!r}: {' and '.join(given)} want https://"


def kubernetes_tls(settings: Settings) -> Said:
    """Certificates with a URL that speaks no TLS, and a token that everybody on the way reads."""
    one = settings.discovery.kubernetes
    files = {"token_file": one.token_file, "ca_file": one.ca_file, "cert_file": one.cert_file}
    given = [f"discovery.kubernetes.{name}" for name, path in files.items() if path is not None]
    if not given or one.url is None or not one.url.startswith("http:"):
        return None
    return f"discovery.kubernetes.url = {one.url!r}: {' and '.join(given)} want https://"


def report_has_source(settings: Settings) -> Said:
    """Nothing is reported where nobody is asked."""
    docker = settings.discovery.docker
    if docker.report_to.url is None or docker.url is not None:
        return None
    return (
        f"discovery.docker.report_to.url = {docker.report_to.url!r}: there is nothing to report: "
        "set discovery.docker.url"
    )


def registry_has_store(settings: Settings) -> Said:
    """A registry in Consul needs one."""
    if settings.registry.store != "consul" or settings.discovery.consul.url is not None:
        return None
    return "registry.store = 'consul': set discovery.consul.url, which says where Consul is"


def dnsmasq_has_names(settings: Settings) -> Said:
    """It answers from the file that is followed."""
    hosts = settings.discovery.hosts
    if not hosts.dnsmasq or hosts.path is not None:
        return None
    return "discovery.hosts.dnsmasq = True: set discovery.hosts.path, the file it answers from"


#: The keys each looks at, and the rule.
ACROSS: Final[tuple[tuple[tuple[str, ...], Callable[[Settings], Said]], ...]] = (
    (("api.bind", "api.token_file", "api.read_token_file"), api_is_guarded),
    (("api.read_token_file", "api.token_file"), api_tokens_differ),
    *(
        ((f"{section}.key_file", f"{section}.cert_file"), pair_rule(section))
        for section in ("api.tls", "discovery.consul", "discovery.kubernetes")
    ),
    (
        ("discovery.consul.url", "discovery.consul.ca_file", "discovery.consul.cert_file"),
        consul_tls,
    ),
    (
        (
            "discovery.kubernetes.url",
            *(f"discovery.kubernetes.{name}" for name in ("token_file", "ca_file", "cert_file")),
        ),
        kubernetes_tls,
    ),
    (("discovery.docker.report_to.url", "discovery.docker.url"), report_has_source),
    (("registry.store", "discovery.consul.url"), registry_has_store),
    (("discovery.hosts.dnsmasq", "discovery.hosts.path"), dnsmasq_has_names),
)
