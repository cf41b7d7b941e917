"""
What of HAProxy's statistics is told to Prometheus, under the names of HAProxy's own exporter.

Pure. It owns which columns become which metrics, their types and their words; not their text
(:mod:`lbctl.haproxy.promex_text`). Of each server there is what dashboards draw and people alert
on: all that HAProxy knows is 54 MB of text at 10,000 servers.

Source: HAProxy addons/promex/README, and what 2.6 and 3.0 answer; a contract test holds it to them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

Type = Literal["counter", "gauge"]
#: By the cell of ``type`` in ``show stat``; what listens (3) is left out, as by HAProxy's exporter.
Kind = Literal["frontend", "backend", "server"]
KINDS: Final[Mapping[str, Kind]] = MappingProxyType(
    {"0": "frontend", "1": "backend", "2": "server"}
)


@dataclass(frozen=True, slots=True)
class Metric:
    """
    One family of series.

    Attributes:
        name: without ``haproxy_KIND_``.
        column: of ``show stat``, or a key of ``show info``.
        words: its help.
        is_time: milliseconds there, seconds here.
    """

    name: str
    column: str
    type: Type
    words: str
    is_time: bool = False


#: Name, column, words; a name that ends in ``_total`` is a counter.
_CATALOGUE: Final = """
current_queue                   qcur          Requests that wait now.
max_queue                       qmax          Most requests that ever waited.
current_sessions                scur          Sessions now.
max_sessions                    smax          Most sessions that there ever were.
limit_sessions                  slim          Most sessions that there may be.
sessions_total                  stot          Sessions.
bytes_in_total                  bin           Bytes of requests.
bytes_out_total                 bout          Bytes of responses.
requests_denied_total           dreq          Requests that a rule denied.
responses_denied_total          dresp         Responses that a rule denied.
request_errors_total            ereq          Requests that were none, or were cut off.
connection_errors_total         econ          Requests for which no connection to a server was had.
response_errors_total           eresp         Responses that were none, or were cut off.
retry_warnings_total            wretr         Connections to a server that were tried again.
redispatch_warnings_total       wredis        Requests that went to another server than the first.
weight                          weight        Weight in force.
active_servers                  act           Servers that take requests.
backup_servers                  bck           Backup servers that would take requests.
check_failures_total            chkfail       Health checks that failed while the server was up.
check_up_down_total             chkdown       Changes from up to down.
check_last_change_seconds       lastchg       Since the last change of state.
downtime_seconds_total          downtime      Time without service.
loadbalanced_total              lbtot         Requests that the algorithm gave a server.
max_session_rate                rate_max      Most new sessions in a second.
limit_session_rate              rate_lim      Most new sessions in a second that there may be.
http_requests_rate_max          req_rate_max  Most requests in a second.
http_requests_total             req_tot       Requests.
connections_rate_max            conn_rate_max Most new connections in a second.
connections_total               conn_tot      Connections.
intercepted_requests_total      intercepted   Requests that HAProxy answered itself.
denied_connections_total        dcon          Connections that a rule denied.
denied_sessions_total           dses          Sessions that a rule denied.
client_aborts_total             cli_abrt      Requests that the client gave up.
server_aborts_total             srv_abrt      Requests that the server gave up.
http_comp_bytes_in_total        comp_in       Bytes that went into compression.
http_comp_bytes_out_total       comp_out      Bytes that came out of it.
http_comp_bytes_bypassed_total  comp_byp      Bytes that it let by.
http_comp_responses_total       comp_rsp      Responses that were compressed.
last_session_seconds            lastsess      Since the last session; -1: there was none.
queue_time_average_seconds      qtime         Time in the queue, average of the last 1,024 requests.
connect_time_average_seconds    ctime         Time to connect, average of the last 1,024 requests.
response_time_average_seconds   rtime         Time to respond, average of the last 1,024 requests.
total_time_average_seconds      ttime         Time in all, average of the last 1,024 requests.
max_queue_time_seconds          qtime_max     Longest time in the queue.
max_connect_time_seconds        ctime_max     Longest time to connect.
max_response_time_seconds       rtime_max     Longest time to respond.
max_total_time_seconds          ttime_max     Longest time in all.
failed_header_rewriting_total   wrew          Headers that could not be rewritten.
connection_attempts_total       connect       Connections to servers that were tried.
connection_reuses_total         reuse         Requests that found a connection.
http_cache_lookups_total        cache_lookups Requests that asked the cache.
http_cache_hits_total           cache_hits    Requests that the cache answered.
internal_errors_total           eint          Errors of HAProxy's own.
"""

_EACH: Final = (
    "current_sessions max_sessions limit_sessions sessions_total bytes_in_total bytes_out_total "
)
_OF_KIND: Final[Mapping[Kind, str]] = {
    "frontend": _EACH
    + """
        requests_denied_total responses_denied_total request_errors_total limit_session_rate
        max_session_rate http_requests_rate_max http_requests_total connections_rate_max
        connections_total intercepted_requests_total denied_connections_total
        denied_sessions_total http_comp_bytes_in_total http_comp_bytes_out_total
        http_comp_bytes_bypassed_total http_comp_responses_total failed_header_rewriting_total
        http_cache_lookups_total http_cache_hits_total internal_errors_total
    """,
    "backend": _EACH
    + """
        current_queue max_queue requests_denied_total responses_denied_total
        connection_errors_total response_errors_total retry_warnings_total
        redispatch_warnings_total weight active_servers backup_servers check_up_down_total
        check_last_change_seconds downtime_seconds_total loadbalanced_total max_session_rate
        http_requests_total client_aborts_total server_aborts_total last_session_seconds
        queue_time_average_seconds connect_time_average_seconds response_time_average_seconds
        total_time_average_seconds max_queue_time_seconds max_connect_time_seconds
        max_response_time_seconds max_total_time_seconds connection_attempts_total
        connection_reuses_total internal_errors_total
    """,
    "server": _EACH
    + """
        current_queue connection_errors_total response_errors_total
        retry_warnings_total redispatch_warnings_total weight check_failures_total
        check_up_down_total downtime_seconds_total response_time_average_seconds
        total_time_average_seconds
    """,
}

#: ``haproxy_KIND_http_responses_total`` by its label ``code``.
CODES: Final[Mapping[str, str]] = MappingProxyType(
    {code: f"hrsp_{code}" for code in ("1xx", "2xx", "3xx", "4xx", "5xx", "other")}
)
#: Of a server they are told once there was one: nobody waits for the first.
RARE_CODES: Final = frozenset(("1xx", "other"))
CODES_WORDS: Final = "Responses by class of their status."
STATUS_WORDS: Final = "1: it is in this state."
AGGREGATE_WORDS: Final = "Servers of the backend that are in this state."
#: Of servers, in the order of HAProxy's exporter.
STATES: Final = ("DOWN", "UP", "MAINT", "DRAIN", "NOLB")

#: Key of ``show info``, name, words.
_PROCESS: Final = """
Nbthread                    nbthread                       Threads.
Nbproc                      nbproc                         Processes.
Uptime_sec                  uptime_seconds                 Age of the youngest process.
PoolFailed                  pool_failures_total            Allocations that failed.
Ulimit-n                    max_fds                        Most file descriptors.
Maxsock                     max_sockets                    Most sockets.
Maxconn                     max_connections                Most connections.
Hard_maxconn                hard_max_connections           Most connections that could be set.
CurrConns                   current_connections            Connections now.
CumConns                    connections_total              Connections.
CumReq                      requests_total                 Requests.
MaxSslConns                 max_ssl_connections            Most TLS connections; 0: no limit.
CurrSslConns                current_ssl_connections        TLS connections now.
CumSslConns                 ssl_connections_total          TLS connections.
ConnRate                    current_connection_rate        New connections in the last second.
ConnRateLimit               limit_connection_rate          Most of them that there may be.
MaxConnRate                 max_connection_rate            Most of them that there ever were.
SessRate                    current_session_rate           New sessions in the last second.
SessRateLimit               limit_session_rate             Most of them that there may be.
MaxSessRate                 max_session_rate               Most of them that there ever were.
SslRate                     current_ssl_rate               New TLS connections in the last second.
SslRateLimit                limit_ssl_rate                 Most of them that there may be.
MaxSslRate                  max_ssl_rate                   Most of them that there ever were.
SslFrontendKeyRate          current_frontend_ssl_key_rate  New TLS keys in the last second.
SslFrontendMaxKeyRate       max_frontend_ssl_key_rate      Most of them that there ever were.
SslFrontendSessionReuse_pct frontend_ssl_reuse             TLS connections without a new key (%).
SslCacheLookups             ssl_cache_lookups_total        Lookups in the cache of TLS sessions.
SslCacheMisses              ssl_cache_misses_total         Those that found nothing.
Tasks                       current_tasks                  Tasks.
Run_queue                   current_run_queue              Tasks that want to run.
Idle_pct                    idle_time_percent              Share of the last second without work.
Stopping                    stopping                       1: one of them stops.
Jobs                        jobs                           Jobs.
Unstoppable Jobs            unstoppable_jobs               Jobs that do not end by themselves.
Listeners                   listeners                      Listeners.
ActivePeers                 active_peers                   Peers that exchange stick tables.
ConnectedPeers              connected_peers                Peers that are connected.
DroppedLogs                 dropped_logs_total             Log lines that were dropped.
BusyPolling                 busy_polling_enabled           1: busy polling is in use.
TotalBytesOut               bytes_out_total                Bytes sent.
BytesOutRate                bytes_out_rate                 Bytes sent in the last second.
CumRecvLogs                 recv_logs_total                Log lines that were received.
Memmax_bytes                max_memory_bytes               Most memory; 0: no limit.
PoolAlloc_bytes             pool_allocated_bytes           Memory of pools.
PoolUsed_bytes              pool_used_bytes                Memory of pools that is in use.
Start_time_sec              start_time_seconds             Start of the youngest process.
"""
BUILD_WORDS: Final = "1, with HAProxy's version."


def _catalogue() -> Iterator[Metric]:
    for line in _CATALOGUE.strip().splitlines():
        name, column, words = line.split(None, 2)
        is_time = "_time_" in name and name.endswith("_seconds")
        yield Metric(name, column, _type_of(name), words, is_time)


def _processes() -> Iterator[Metric]:
    for line in _PROCESS.strip().splitlines():
        # A key may have a blank in it: "Unstoppable Jobs".
        key, name, words = line[:28].strip(), *line[28:].split(None, 1)
        yield Metric(name, key, _type_of(name), words)


def _type_of(name: str) -> Type:
    return "counter" if name.endswith("_total") else "gauge"


_BY_NAME: Final = {metric.name: metric for metric in _catalogue()}

#: What is told of each, in this order; status and responses by code come on top.
METRICS: Final[Mapping[Kind, tuple[Metric, ...]]] = MappingProxyType(
    {kind: tuple(_BY_NAME[name] for name in names.split()) for kind, names in _OF_KIND.items()}
)
PROCESS_METRICS: Final = tuple(_processes())

KEY: Final = ("pxname", "svname", "type")
#: What of ``show stat`` is read, by kind.
COLUMNS: Final[Mapping[Kind, tuple[str, ...]]] = MappingProxyType(
    {
        kind: (*KEY, "status", *CODES.values(), *(metric.column for metric in metrics))
        for kind, metrics in METRICS.items()
    }
)
#: Those of them that only grow.
COUNTERS: Final = frozenset(
    {*CODES.values(), *(one.column for one in _BY_NAME.values() if one.type == "counter")}
)
FACT_COUNTERS: Final = frozenset(one.column for one in PROCESS_METRICS if one.type == "counter")


def state_of(status: str) -> str:
    """The label ``state`` of a server whose ``status`` HAProxy tells so: ``DRAIN 1/2 (agent)``."""
    word = status.partition(" ")[0]
    if word == "no":  # "no check"
        return "UP"
    return word if word in STATES else "DOWN"
