"""Where services are found, as lb.yaml has it: a source without a URL or a path is not asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal

from annotated_types import Ge, Le, MinLen

Port = Annotated[int, Ge(1), Le(65535)]

#: ``discovery.kubernetes.url`` of who runs in a pod.
IN_CLUSTER = "in-cluster"
#: What a pod is given there: ``token``, ``ca.crt``, ``namespace``.
SERVICE_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceCheck:
    """
    HAProxy's own check of servers that a source tells of, where the service says nothing else.

    Attributes:
        kind: ``http``, ``tcp`` (a connection), ``none``; services in tcp mode: never ``http``.
        path: of an HTTP check.
        method: of an HTTP check.
        host: its Host header.
    """

    kind: Literal["http", "tcp", "none"] = "tcp"
    path: Annotated[str, MinLen(1)] = "/"
    method: Literal["GET", "HEAD", "OPTIONS"] = "HEAD"
    host: Annotated[str, MinLen(1)] = "localhost"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hosts:
    """
    Names of servers, followed in a file.

    Attributes:
        path: ``/etc/hosts``; None: it is not followed.
        dnsmasq: a nameserver answers from that file, for ``resolvers`` of an own haproxy.cfg.
        dnsmasq_port: of 127.0.0.1, UDP and TCP.
    """

    path: str | None = None
    dnsmasq: bool = False
    dnsmasq_port: Port = 53


@dataclass(frozen=True, slots=True, kw_only=True)
class Dns:
    """
    How HAProxy follows names of servers.

    Attributes:
        nameservers: ``10.0.0.2`` or ``10.0.0.2:53``; empty: dnsmasq, if it runs, else those of
            /etc/resolv.conf.
        prefer: which address of a name that has both.
        timeout_s: until a question is asked again, seconds.
        retries: how often.
        hold_valid_s: how long an answer counts, seconds.
        hold_obsolete_s: how long a server stays whose address is in no answer any more, seconds.
        payload_bytes: the longest answer over UDP; a longer one would come cut off.
    """

    nameservers: tuple[str, ...] = ()
    prefer: Literal["ipv4", "ipv6"] = "ipv4"
    timeout_s: Annotated[float, Ge(0.1), Le(60)] = 1.0
    retries: Annotated[int, Ge(1), Le(100)] = 3
    hold_valid_s: Annotated[float, Ge(0.1), Le(86400)] = 10.0
    hold_obsolete_s: Annotated[float, Ge(0), Le(86400)] = 30.0
    payload_bytes: Annotated[int, Ge(512), Le(65535)] = 8192


@dataclass(frozen=True, slots=True, kw_only=True)
class Consul:
    """
    Services registered in Consul.

    Attributes:
        url: ``http://127.0.0.1:8500``, ``https://...``, ``unix:///run/consul.sock``; None: Consul
            is not asked.
        tags: a tag, and the mode of the services that have it; services without any are not ours.
        passing: only instances whose checks all pass; else also those that warn.
        stale: any server of Consul may answer, not the leader alone.
        datacenter: None: that of the agent which is asked.
        kv_prefix: keys below it set ``maxconn`` and ``timeouts/*``; None: none do.
        token_file: file with the ACL token.
        ca_file: authorities that its certificate is judged by; None: the host's own.
        cert_file: this host's certificate, and its key in the same file or in *key_file*.
        key_file: see there.
        check: see there.
    """

    url: str | None = None
    tags: Mapping[str, str] = field(
        default_factory=lambda: {"rest": "http", "http": "http", "tcp": "tcp"}
    )
    passing: bool = True
    stale: bool = False
    datacenter: str | None = None
    kv_prefix: str | None = "service/haproxy"
    token_file: str | None = None
    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None
    check: SourceCheck = field(default_factory=lambda: SourceCheck(kind="http"))


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportTo:
    """
    A registry elsewhere that is told of this host's containers; they are not served here then.

    Attributes:
        url: ``http://10.0.0.1:9000``: the API of another lbctl; None: they are served here.
        token_file: file with its token.
        table: see ``table`` of ``POST /v1/registry``.
    """

    url: str | None = None
    token_file: str | None = None
    table: Annotated[str, MinLen(1)] = "lbctl"


@dataclass(frozen=True, slots=True, kw_only=True)
class Docker:
    """
    Containers of this host, or of whoever answers.

    Attributes:
        url: ``unix:///var/run/docker.sock``, ``tcp://127.0.0.1:2375``; None: not asked.
        network: take a container's address in this network; None: in the first that has one.
        host_address: what published ports are reached by, for containers that have no address of
            their own; None: 127.0.0.1.
        check: see there.
        report_to: see there.
    """

    url: str | None = None
    network: str | None = None
    host_address: str | None = None
    check: SourceCheck = field(default_factory=SourceCheck)
    report_to: ReportTo = field(default_factory=ReportTo)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kubernetes:
    """
    Services of a Kubernetes cluster, by their EndpointSlices.

    Attributes:
        url: ``in-cluster``, ``https://10.0.0.1:6443``; None: not asked.
        namespace: None: all of them.
        selector: labels of the Services that are ours, as ``kubectl get -l`` has it; their slices
            have the same.
        token_file: file with the token, read again whenever it is used; None: the pod's own.
        ca_file: authorities that the API server's certificate is judged by; None: the pod's, or
            the host's own.
        cert_file: this host's certificate, and its key in the same file or in *key_file*.
        key_file: see there.
        check: see there.
    """

    url: str | None = None
    namespace: str | None = None
    selector: Annotated[str, MinLen(1)] = "lbctl.enable=true"
    token_file: str | None = None
    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None
    check: SourceCheck = field(default_factory=SourceCheck)


@dataclass(frozen=True, slots=True, kw_only=True)
class Discovery:
    """
    Sources of services beside lb.yaml.

    Attributes:
        hosts: see there.
        dns: see there.
        consul: see there.
        docker: see there.
        kubernetes: see there.
        empty_s: a source that had services, and answers that there are none, is believed when it
            has said so for so long, seconds.
    """

    hosts: Hosts = field(default_factory=Hosts)
    dns: Dns = field(default_factory=Dns)
    consul: Consul = field(default_factory=Consul)
    docker: Docker = field(default_factory=Docker)
    kubernetes: Kubernetes = field(default_factory=Kubernetes)
    empty_s: Annotated[float, Ge(0), Le(86400)] = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Registry:
    """
    Services that are told by ``POST /v1/registry``.

    Attributes:
        store: where they are kept: in the state dir, in Consul (as ``discovery.consul`` says), or
            in DynamoDB, for several hosts.
        consul_prefix: of its keys in Consul.
        dynamodb_table: DynamoDB's, with all tables of the registry in it.
        dynamodb_region: None: as AWS's own variables and files say.
        dynamodb_endpoint: None: AWS's.
        poll_s: how often a store that others write to as well is read, seconds.
        check: see there.
    """

    store: Literal["sqlite", "consul", "dynamodb"] = "sqlite"
    consul_prefix: Annotated[str, MinLen(1)] = "lbctl/registry"
    dynamodb_table: Annotated[str, MinLen(1)] = "lbctl-registry"
    dynamodb_region: str | None = None
    dynamodb_endpoint: str | None = None
    poll_s: Annotated[float, Ge(0.5), Le(3600)] = 5.0
    check: SourceCheck = field(default_factory=SourceCheck)


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiTls:
    """
    TLS for the API over TCP.

    Attributes:
        cert_file: certificate and chain, and its key in the same file or in *key_file*; None: none.
        key_file: see there.
    """

    cert_file: str | None = None
    key_file: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    """
    The HTTP API beside its Unix socket.

    Attributes:
        bind: ``127.0.0.1:9000``, ``:9000``; None: the Unix socket alone.
        token_file: file with the token of those who may do everything; *bind* needs this one or
            *read_token_file*.
        read_token_file: file with the token of those who may look only.
        tls: see there.
        rate_per_s: requests a second of one address over TCP; four times as many at once.
    """

    bind: str | None = None
    token_file: str | None = None
    read_token_file: str | None = None
    tls: ApiTls = field(default_factory=ApiTls)
    rate_per_s: Annotated[float, Ge(1), Le(10000)] = 50.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Syslog:
    """
    An rsyslogd in the bundle, for an own haproxy.cfg that logs by syslog.

    Attributes:
        run: ``auto``: when haproxy.cfg logs to a place on this host where nobody listens.
        listen: places to receive at; empty: those that haproxy.cfg names: ``/dev/log``,
            ``127.0.0.1:514``.
    """

    run: Literal["auto", "yes", "no"] = "auto"
    listen: tuple[str, ...] = ()
