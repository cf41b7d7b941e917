"""What a master says of its workers, by the words of 2.2, 2.6 and 3.0."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lbctl.haproxy.master import Worker, Workers, parse_workers

OF_2_6 = """\
#<PID>          <type>          <reloads>       <uptime>        <version>
16776           master          3 [failed: 1]   0d00h00m06s     2.6.12-1+deb12u3
# workers
16786           worker          1               1d01h01m01s     2.6.12-1+deb12u3
# old workers
16782           worker          3               0d00h02m05s     2.6.12-1+deb12u3
16781           worker          4               0d00h02m06s     2.6.12-1+deb12u3
# programs

"""
OF_2_2 = """\
#<PID>          <type>          <relative PID>  <reloads>       <uptime>        <version>
16910           master          0               2               0d00h00m05s     2.2.9-2+deb11u6
# workers
16921           worker          1               0               0d00h00m00s     2.2.9-2+deb11u6
16922           worker          2               0               0d00h00m00s     2.2.9-2+deb11u6
# old workers
16918           worker          [was: 1]        1               0d00h00m01s     2.2.9-2+deb11u6
# programs

"""
OF_2_2_AFTER_A_FAILURE = """\
#<PID>          <type>          <relative PID>  <reloads>       <uptime>        <version>
16910           master          0               3               0d00h00m05s     2.2.9-2+deb11u6
# workers
# old workers
16921           worker          [was: 1]        1               0d00h00m00s     2.2.9-2+deb11u6
16922           worker          [was: 2]        1               0d00h00m00s     2.2.9-2+deb11u6
# programs

"""


def read(text: str) -> Workers:
    found = parse_workers(text)
    assert found is not None
    return found


def test_workers_and_old_ones_are_told_apart_with_their_ages() -> None:
    assert read(OF_2_6) == Workers(
        master_pid=16776,
        reloads=3,
        failed=1,
        current=(Worker(16786, 90061, 1),),
        old=(Worker(16782, 125, 3), Worker(16781, 126, 4)),
    )


def test_nbproc_has_a_worker_for_each_process() -> None:
    found = read(OF_2_2)

    assert [worker.pid for worker in found.current] == [16921, 16922]
    assert [worker.pid for worker in found.old] == [16918]
    assert (found.reloads, found.failed) == (2, 0)


def test_a_failure_is_seen_with_and_without_a_count_of_failures() -> None:
    assert read(OF_2_6).did_fail
    assert read(OF_2_2_AFTER_A_FAILURE).did_fail
    assert not read(OF_2_2).did_fail
    good = OF_2_6.replace("failed: 1", "failed: 0").replace(
        "worker          1", "worker          0"
    )
    assert not read(good).did_fail


def test_the_age_of_the_oldest_worker_is_told() -> None:
    assert read(OF_2_6).oldest_s == 126
    assert read(OF_2_2.replace("# old workers\n", "")).oldest_s == 0


def test_what_names_no_master_is_no_answer() -> None:
    for text in ("", "Unknown command\n", OF_2_6.replace("master ", "worker ")):
        assert parse_workers(text) is None


@given(st.text(alphabet="#<>PIDtype reloads uptime0123456789dhms[]:\nworkermaster", max_size=200))
def test_no_text_is_too_odd_to_be_read(rest: str) -> None:
    found = parse_workers(OF_2_6 + rest)

    assert found is not None
    assert found.current[0].pid == 16786


@given(st.text(max_size=200))
def test_no_text_breaks_the_reader(text: str) -> None:
    assert parse_workers(text) is None or text.startswith("#<PID>")
