"""A real Prometheus on a lab host: it scrapes a pair, set up as shipped, and says what fires."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from lbctl.lab.hosts import Host
from lbctl.lab.process import Process
from lbctl.lab.wait import LabError, wait_until
from tests.monitoring import CONFIG, quick_rules, read_yaml

_LISTEN = "127.0.0.1:9090"
#: Between two scrapes, and the longest one.
SCRAPE_S = 1
#: Two scrapes, a look at the rules, and what two busy cores add.
TOLD_S = 20.0

#: Labels, or annotations.
Series = Mapping[str, str]


@dataclass(slots=True)
class Prometheus:
    """
    Attributes:
        seen: the annotations of every alert that was ever seen firing.
    """

    host: Host
    process: Process
    seen: dict[str, Series] = field(default_factory=dict)

    def ask(self, path: str, **words: str) -> Any:
        """
        ``data`` of an answer of its API.

        Raises:
            LabError: it does not answer, or not with success.
        """
        url = f"http://{_LISTEN}/api/v1/{path}?{urlencode(words)}"
        said = self.host.run(["curl", "-sS", "-m", "5", url]).stdout
        try:
            answer = json.loads(said)
        except ValueError as error:
            message = f"{url}: {said[:300]}"
            raise LabError(message) from error
        if answer["status"] != "success":
            message = f"{url}: {answer}"
            raise LabError(message)
        return answer["data"]

    def firing(self) -> list[Series]:
        """Labels of each alert that fires now."""
        alerts = [one for one in self.ask("alerts")["alerts"] if one["state"] == "firing"]
        self.seen.update({one["labels"]["alertname"]: one["annotations"] for one in alerts})
        return [one["labels"] for one in alerts]

    def names(self) -> set[str]:
        return {one["alertname"] for one in self.firing()}

    def query(self, expression: str) -> list[tuple[Series, float]]:
        """Each series of an answer, with its value now."""
        result = self.ask("query", query=expression)["result"]
        return [(one["metric"], float(one["value"][1])) for one in result]

    def wait_firing(self, *names: str, within_s: float = TOLD_S, **labels: str) -> list[Series]:
        """
        Until each of these has been seen firing, with these labels, at one time or another.

        Raises:
            LabError: one of them was not.
        """
        missing = set(names)
        found: list[Series] = []

        def all_fired() -> bool:
            now = [
                one
                for one in self.firing()
                if one["alertname"] in missing and labels.items() <= one.items()
            ]
            found.extend(now)
            missing.difference_update(one["alertname"] for one in now)
            return not missing

        wait_until(
            all_fired,
            within_s,
            f"alerts {', '.join(names)} {labels}",
            seen=lambda: self._seen(missing),
            every_s=0.2,
        )
        return found

    def wait_silent(self, within_s: float, but: Set[str] = frozenset()) -> set[str]:
        """Until nothing fires any more, but for *but*; what still does."""
        names: set[str] = set()

        def is_silent() -> bool:
            names.clear()
            names.update(self.names())
            return names <= but

        wait_until(is_silent, within_s, "silence", seen=self.firing, every_s=0.2)
        return names

    def _seen(self, missing: set[str]) -> str:
        targets = [
            (one["scrapeUrl"], one["health"], one["lastError"])
            for one in self.ask("targets")["activeTargets"]
        ]
        return f"missing {sorted(missing)}; firing {self.firing()}; targets {targets}"


@contextmanager
def prometheus(
    host: Host, targets: Sequence[str], *, token: str, authority: bytes, server_name: str
) -> Iterator[Prometheus]:
    """One on *host* with the shipped configuration: TLS, a token; its data goes with it."""
    root = host.directory / "prometheus"
    root.mkdir()
    _configure(root, targets, token, authority, server_name)
    argv = [
        "prometheus",
        f"--config.file={root / CONFIG.name}",
        f"--storage.tsdb.path={root / 'data'}",
        f"--web.listen-address={_LISTEN}",
        "--log.level=warn",
    ]
    process = host.spawn(argv, log="prometheus.log", env={"GOMAXPROCS": "1"})
    try:
        made = Prometheus(host, process)
        wait_until(lambda: made.ask("rules"), 15, "Prometheus", seen=process.text)
        yield made
    finally:
        process.stop(10)
        shutil.rmtree(root)


def _configure(
    root: Path, targets: Sequence[str], token: str, authority: bytes, server_name: str
) -> None:
    document = read_yaml(CONFIG)
    document["global"] = {
        "scrape_interval": f"{SCRAPE_S}s",
        "evaluation_interval": "500ms",
    }
    (job,) = document["scrape_configs"]
    job["scrape_timeout"] = f"{SCRAPE_S}s"
    job["tls_config"]["server_name"] = server_name
    (pair,) = job["static_configs"]
    pair["targets"] = list(targets)
    (root / CONFIG.name).write_text(json.dumps(document))
    (root / job["authorization"]["credentials_file"]).write_text(f"{token}\n")
    (root / job["tls_config"]["ca_file"]).write_bytes(authority)
    (rules,) = document["rule_files"]
    (root / rules).write_text(quick_rules())
