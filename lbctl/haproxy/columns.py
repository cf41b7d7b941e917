"""
The rule for each column of ``show stat``, HAProxy 2.2 to 3.x.

Source: HAProxy doc/management.txt, section 9.1, "CSV format"; for the columns behind ``-``, which
belong to its modules and are counters and gauges throughout, their prefix decides.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from lbctl.haproxy.rules import Rule

_BY_RULE: Final[Mapping[Rule, str]] = {
    Rule.ADD: """
        qcur scur stot bin bout dreq dresp ereq econ eresp wretr wredis lbtot rate
        hrsp_1xx hrsp_2xx hrsp_3xx hrsp_4xx hrsp_5xx hrsp_other req_rate req_tot cli_abrt srv_abrt
        comp_in comp_out comp_byp comp_rsp conn_rate conn_tot intercepted dcon dses wrew connect
        reuse cache_lookups cache_hits srv_icur eint idle_conn_cur safe_conn_cur used_conn_cur
        need_conn_est sess_other h1sess h2sess h3sess req_other h1req h2req h3req priv_idle_cur
        reqbin reqbout resbin resbout
    """,
    Rule.LIMIT: "slim qlimit rate_lim src_ilim",
    Rule.PEAK: """
        smax qmax rate_max req_rate_max conn_rate_max qtime_max ctime_max rtime_max ttime_max
    """,
    # every process runs the checks of its own: one server that fails once is not two failures
    Rule.GREATEST: "chkfail chkdown downtime",
    Rule.LEAST: "weight uweight act bck",
    Rule.RECENT: "lastsess",
    Rule.AVERAGE: "qtime ctime rtime ttime",
    Rule.STATE: """
        status lastchg throttle check_status check_code check_duration hanafail last_chk last_agt
        agent_status agent_code agent_duration check_desc agent_desc check_health agent_health
        agg_server_status agg_server_check_status agg_check_status
    """,
    Rule.FIRST: """
        pxname svname pid iid sid tracked type check_rise check_fall agent_rise agent_fall addr
        cookie mode algo srid proto -
    """,
}

RULES: Final[Mapping[str, Rule]] = MappingProxyType(
    {column: rule for rule, columns in _BY_RULE.items() for column in columns.split()}
)

#: A highest value and the current one that it cannot be below.
CURRENT_OF_PEAK: Final[Mapping[str, str]] = MappingProxyType(
    {
        "smax": "scur",
        "qmax": "qcur",
        "rate_max": "rate",
        "req_rate_max": "req_rate",
        "conn_rate_max": "conn_rate",
    }
)

_MODULES: Final = ("ssl_", "h1_", "h2_", "h3_", "quic_", "qpack_", "pack_")
_TEXT: Final = {
    *("pxname", "svname", "status", "tracked", "hanafail", "addr", "cookie", "mode", "algo"),
    *("check_status", "check_desc", "last_chk", "agent_status", "agent_desc", "last_agt"),
    *("srid", "proto", "-"),
}


def has_rule(column: str) -> bool:
    return column in RULES or column.startswith(_MODULES)


def rule_of(column: str) -> Rule:
    """The column's rule; one that nobody has heard of keeps the first process's value."""
    return RULES.get(column, Rule.ADD if column.startswith(_MODULES) else Rule.FIRST)


def is_number(column: str) -> bool:
    """Whether its cells are numbers wherever they are not empty."""
    return has_rule(column) and column not in _TEXT
