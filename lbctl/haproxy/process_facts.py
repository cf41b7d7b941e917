"""
What ``show info`` says of each process, and of all of them together. Pure.

Source: HAProxy doc/management.txt, "show info".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from lbctl.haproxy.rules import COMBINE, Cell, Rule, lenient

#: By key; one that is not here keeps the first process's value.
RULES: Final[Mapping[str, Rule]] = MappingProxyType(
    {
        key: rule
        for rule, keys in {
            Rule.ADD: """
                Nbthread Memmax_MB PoolAlloc_MB PoolUsed_MB PoolFailed Ulimit-n Maxsock Maxconn
                Hard_maxconn CurrConns CumConns CumReq MaxSslConns CurrSslConns CumSslConns Maxpipes
                PipesUsed PipesFree ConnRate SessRate SslRate SslFrontendKeyRate SslBackendKeyRate
                SslCacheLookups SslCacheMisses CompressBpsIn CompressBpsOut ZlibMemUsage
                MaxZlibMemUsage Tasks Run_queue Jobs Unstoppable_Jobs Listeners ActivePeers
                ConnectedPeers DroppedLogs FailedResolutions TotalBytesOut TotalSplicdedBytesOut
                TotalSplicedBytesOut BytesOutRate DebugCommandsIssued CumRecvLogs Memmax_bytes
                PoolAlloc_bytes PoolUsed_bytes TotalWarnings PatternsAdded PatternsFreed
            """,
            Rule.LIMIT: "ConnRateLimit SessRateLimit SslRateLimit CompressBpsRateLim",
            Rule.PEAK: """
                MaxConnRate MaxSessRate MaxSslRate SslFrontendMaxKeyRate SslBackendMaxKeyRate
            """,
            Rule.GREATEST: "Stopping BusyPolling Start_time_sec Niced_tasks MaxconnReached",
            # since then every sum is whole
            Rule.LEAST: "Uptime_sec",
            Rule.AVERAGE: "Idle_pct SslFrontendSessionReuse_pct",
        }.items()
        for key in keys.split()
    }
)

_CURRENT_OF_PEAK: Final = {
    "MaxConnRate": "ConnRate",
    "MaxSessRate": "SessRate",
    "MaxSslRate": "SslRate",
    "SslFrontendMaxKeyRate": "SslFrontendKeyRate",
    "SslBackendMaxKeyRate": "SslBackendKeyRate",
}


def parse_facts(text: str) -> dict[str, str]:
    """``Name: value`` lines by name, in HAProxy's order; a value may be empty."""
    pairs = (line.partition(":") for line in text.splitlines() if ":" in line)
    return {key: value.strip() for key, _, value in pairs}


def format_facts(facts: Mapping[str, str]) -> str:
    """The text that HAProxy would answer."""
    return "".join(f"{key}: {value}\n" for key, value in facts.items())


def merge_facts(processes: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """
    What one process in place of all would say.

    Returns:
        The keys of all, plus ``Pids``: each process's, while ``Pid`` is the first one's. ``Nbproc``
        is the number of processes, ``Uptime`` that of the youngest.
    """
    keys = dict.fromkeys(key for facts in processes for key in facts)
    merged = {
        key: _merge_key(key, tuple(facts.get(key, "") for facts in processes)) for key in keys
    }
    for peak, current in _CURRENT_OF_PEAK.items():
        if merged.get(peak):
            merged[peak] = COMBINE[Rule.GREATEST]((merged[peak], merged.get(current, "")))
    if processes:
        youngest = min(processes, key=lambda facts: _seconds(facts.get("Uptime_sec", "")))
        merged["Uptime"] = youngest.get("Uptime", "")
        merged["Nbproc"] = str(len(processes))
        merged["Pids"] = " ".join(facts.get("Pid", "") for facts in processes)
    return merged


def _merge_key(key: str, cell: Cell) -> str:
    rule = RULES.get(key.replace(" ", "_"), Rule.FIRST)
    if key == "Tainted":
        return lenient(_any_bit)(cell)
    return lenient(_mean)(cell) if rule is Rule.AVERAGE else COMBINE[rule](cell)


def _any_bit(cell: Cell) -> str:
    """Flags, in hexadecimal."""
    flags = 0
    for value in filter(None, cell):
        flags |= int(value, 16)
    return f"{flags:#x}" if flags else "0"


def _mean(cell: Cell) -> str:
    said = [int(value) for value in cell if value]
    return str(round(sum(said) / len(said))) if said else ""


def _seconds(text: str) -> int:
    return int(text) if text.isdecimal() else 0
