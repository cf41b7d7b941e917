from __future__ import annotations

from pathlib import Path

import pytest

from lbctl.haproxy.cpus import Cpus, usable_cpus


def _root(tmp_path: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def _v2(limit: str, own: str = "/") -> dict[str, str]:
    return {
        "proc/self/cgroup": f"0::{own}\n",
        f"sys/fs/cgroup/{own.strip('/')}/cpu.max": limit,
    }


def _v1(quota: str, *, controllers: str = "cpu,cpuacct", own: str = "/") -> dict[str, str]:
    directory = f"sys/fs/cgroup/{controllers}/{own.strip('/')}"
    return {
        "proc/self/cgroup": f"4:memory:/x\n3:{controllers}:{own}\n0::/\n",
        f"{directory}/cpu.cfs_quota_us": quota,
        f"{directory}/cpu.cfs_period_us": "100000\n",
    }


@pytest.mark.parametrize(
    ("files", "count"),
    [
        pytest.param({}, 8, id="nothing known: affinity alone"),
        pytest.param(_v2("max 100000\n"), 8, id="v2 without a limit"),
        pytest.param(_v2("200000 100000\n"), 2, id="v2 two CPUs"),
        pytest.param(_v2("150000 100000\n"), 2, id="v2 one and a half is worth two"),
        pytest.param(_v2("10000 100000\n"), 1, id="v2 a tenth is worth one"),
        pytest.param(_v2("1600000 100000\n"), 8, id="v2 beyond the affinity"),
        pytest.param(_v2("200000 100000\n", "/system.slice/lb.service"), 2, id="v2 own cgroup"),
        pytest.param(_v2("what is this\n"), 8, id="v2 garbled"),
        pytest.param(_v1("-1\n"), 8, id="v1 without a limit"),
        pytest.param(_v1("250000\n"), 3, id="v1 two and a half"),
        pytest.param(_v1("250000\n", controllers="cpu"), 3, id="v1 cpu mounted alone"),
        pytest.param(_v1("250000\n", own="/docker/abc"), 3, id="v1 own cgroup"),
        pytest.param(_v1("nonsense\n"), 8, id="v1 garbled"),
    ],
)
def test_quota_and_affinity_both_limit(tmp_path: Path, files: dict[str, str], count: int) -> None:
    cpus = usable_cpus(root=_root(tmp_path, files), affinity=range(8))

    assert count == cpus.count


def test_a_quota_on_a_parent_limits_too(tmp_path: Path) -> None:
    files = {
        **_v2("max 100000\n", "/pod/container"),
        "sys/fs/cgroup/pod/cpu.max": "300000 100000\n",
        "sys/fs/cgroup/cpu.max": "500000 100000\n",
    }

    assert usable_cpus(root=_root(tmp_path, files), affinity=range(8)).quota == 3.0


def test_a_host_path_that_the_container_does_not_mount_falls_back_to_its_root(
    tmp_path: Path,
) -> None:
    files = {
        "proc/self/cgroup": "3:cpu,cpuacct:/docker/4711\n",
        "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "200000\n",
        "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
    }

    assert usable_cpus(root=_root(tmp_path, files), affinity=range(8)).count == 2


def test_a_path_out_of_the_namespace_is_not_followed(tmp_path: Path) -> None:
    files = {**_v2("200000 100000\n"), "proc/self/cgroup": "0::/../../elsewhere\n"}
    outside = {"sys/elsewhere/cpu.max": "100000 100000\n"}

    assert usable_cpus(root=_root(tmp_path, {**files, **outside}), affinity=range(8)).count == 2


def test_cpu_ids_are_those_of_the_mask_ascending() -> None:
    assert usable_cpus(root=Path("/nonexistent"), affinity={6, 2, 4}) == Cpus((2, 4, 6), None)


def test_this_machine_has_at_least_one_cpu() -> None:
    assert usable_cpus().count >= 1
