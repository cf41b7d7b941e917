"""Whatever lb.yaml holds: Settings or ConfigError, and nothing else."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lbctl.errors import ConfigError
from lbctl.layout import ConfigDir
from lbctl.model.service import (
    Cookie,
    HealthCheck,
    RateLimit,
    Route,
    Server,
    ServerTls,
    Service,
    ServiceTimeouts,
)
from lbctl.settings.keys import CHILDREN, KEYS, MEMBERS
from lbctl.settings.load import effective, load
from lbctl.settings.model import Check, Group, Ha, Settings
from lbctl.settings.services import read_services
from lbctl.settings.transfer import settings_from_json, settings_json

NOWHERE = ConfigDir(Path("/nonexistent"))

NAMES = sorted(
    {name for names in CHILDREN.values() for name in names}
    | {path.rpartition(".")[2] for path in MEMBERS}
)
YAML_SIGNS = st.sampled_from(
    [*"\n\n\n   :-?[]{},&*!|>'\"%@`#~\t\\xuU0123456789ae.+_<=", ": ", "- ", "---", "!!", "\n  "]
)
WORDS = st.sampled_from([*NAMES, "auto", "null", "yes", "0x", ".inf", "!!int", "!!float", "<<"])
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.dates()
    | st.sampled_from(["auto", "haproxy", "5s", "127.0.0.1", ":80"])
)
TREES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(NAMES) | SCALARS, inner, max_size=6)
    ),
    max_leaves=25,
)


def loaded(content: bytes) -> Settings | ConfigError:
    with tempfile.TemporaryDirectory() as root:
        (Path(root) / "lb.yaml").write_bytes(content)
        try:
            return load(ConfigDir(Path(root)), environ={})
        except ConfigError as caught:
            error = caught
    assert error.problems
    assert all(problem.where and problem.what for problem in error.problems)
    assert all(str(problem).isprintable() for problem in error.problems)
    return error


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=60))
def test_any_bytes(content: bytes) -> None:
    loaded(content)


@settings(max_examples=500, deadline=None)
@given(st.lists(YAML_SIGNS | WORDS | st.characters(), max_size=40).map("".join))
@example("ha: {drain_s: -.inf}")
@example("%YAML " + "9" * 5000 + ".1\n---\n")
@example('user: "\\U00110000"')
@example("ha: {vhid: 0x" + "f" * 5000 + "}")
@example("user: !%ff x")
def test_any_text_in_yamls_signs(text: str) -> None:
    loaded(text.encode(errors="surrogatepass"))


@settings(max_examples=300, deadline=None)
@given(TREES)
def test_any_tree_of_values(tree: object) -> None:
    loaded(yaml.dump(tree, allow_unicode=True).encode(errors="surrogatepass"))


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.sampled_from(["haproxy", "nginx"]) | st.dictionaries(st.sampled_from(NAMES), TREES)
    ),
    st.lists(st.dictionaries(st.sampled_from(["addresses", "vhid", "advskew"]), TREES)),
)
def test_any_lists_of_mappings(track: object, groups: object) -> None:
    tree = {"ha": {"engine": "native", "track": track, "groups": groups}}
    loaded(yaml.dump(tree, allow_unicode=True).encode(errors="surrogatepass"))


SERVICE_NAMES = sorted({one.rpartition(".")[2] for one in MEMBERS if one.startswith("services[]")})
SHAPES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(SERVICE_NAMES), inner, max_size=6)
    ),
    max_leaves=20,
)


@settings(max_examples=300, deadline=None)
@given(SHAPES | st.lists(st.dictionaries(st.sampled_from(SERVICE_NAMES), SHAPES), max_size=4))
def test_any_services(services: object) -> None:
    text = yaml.dump({"services": services}, allow_unicode=True)
    found = loaded(text.encode(errors="surrogatepass"))

    good, bad = read_services(yaml.safe_load(text)["services"], "any", Settings())
    assert all(str(one).isprintable() for one in bad)
    if isinstance(found, Settings):
        assert loaded(effective(found).encode()) == found
        assert (services is None) or (good, bad) == (found.services, ())
    else:
        assert all(":" in problem.where for problem in found.problems)


TEXTS = st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "S", "Zs"]), max_size=8)
TOKENS = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,9}", fullmatch=True)
HOW_OFTEN = {
    "interval_s": st.floats(0.1, 60),
    "severity": st.integers(1, 15),
    "rise": st.integers(1, 100) | st.none(),
    "fall": st.integers(1, 100) | st.none(),
}
OFTEN_ASKED = {**HOW_OFTEN, "timeout_s": st.floats(0.05, 30)}
LOOKS = (
    st.fixed_dictionaries(
        {"http": TOKENS.map("https://{}:8443/".format)},
        optional={
            **OFTEN_ASKED,
            "headers": st.dictionaries(TOKENS, TEXTS, max_size=3),
            "expect": st.integers(100, 399).map(lambda low: f"{low}-{low + 200}"),
        },
    )
    | st.fixed_dictionaries({"tcp": st.just("[::1]:5432")}, optional=OFTEN_ASKED)
    | st.fixed_dictionaries(
        {"command": st.lists(TEXTS, max_size=3).map(lambda more: ("/bin/x", *more))},
        optional=OFTEN_ASKED,
    )
    | st.fixed_dictionaries({"link": TOKENS}, optional=HOW_OFTEN)
    | st.fixed_dictionaries({"program": TOKENS}, optional=HOW_OFTEN)
)
#: Group *number* has addresses and an id that no other one has.
GROUPS = st.lists(
    st.fixed_dictionaries({"vhid": st.booleans(), "advskew": st.integers(0, 199)}), max_size=4
).map(
    lambda rows: tuple(
        Group(
            addresses=(f"10.0.{number}.1/24", f"fd00::{number}"),
            vhid=number + 1 if row["vhid"] else "auto",
            advskew=row["advskew"],
        )
        for number, row in enumerate(rows)
    )
)


@settings(max_examples=300, deadline=None)
@given(st.lists(LOOKS, max_size=4), GROUPS)
def test_any_checks_and_groups_are_printed_as_they_load(
    looks: list[dict[str, Any]], groups: tuple[Group, ...]
) -> None:
    checks = tuple(Check(name=f"look-{number}", **look) for number, look in enumerate(looks))
    wanted = Settings(ha=Ha(engine="native", track=("nginx", *checks), groups=groups))

    assert loaded(effective(wanted).encode()) == wanted


SERVERS = st.lists(
    st.builds(
        Server,
        address=TOKENS.map("h{}h:80".format) | st.just("[fd00::1]:8080"),
        id=TEXTS,
        weight=st.integers(0, 256),
        backup=st.booleans(),
    ),
    max_size=4,
    unique_by=lambda one: one.key,
).map(tuple)
SERVICES = st.lists(
    st.builds(
        Service,
        name=TEXTS.filter(bool),
        route=st.just(Route(strip=True, path="/a%20b")) | st.just(Route(header={"X": "é"})),
        balance=st.none() | st.just("hdr(X)"),
        cookie=st.none() | TOKENS | st.builds(Cookie, name=TOKENS, kind=st.just("insert")),
        check=st.none() | st.builds(HealthCheck, path=st.just("/"), rise=st.integers(1, 100)),
        timeouts=st.builds(ServiceTimeouts, server=st.none() | st.just("5s")),
        limit=st.none() | st.builds(RateLimit, requests=st.integers(1, 10**9)),
        tls=st.none() | st.builds(ServerTls, verify=st.booleans()),
        servers=SERVERS,
    ),
    max_size=4,
    unique_by=lambda one: one.name,
)


@settings(max_examples=300, deadline=None)
@given(SERVICES)
def test_any_services_are_printed_and_handed_on_as_they_load(services: list[Service]) -> None:
    apart = tuple(
        replace(one, route=replace(one.route or Route(), host=f"h{number}"))
        for number, one in enumerate(services)
    )
    wanted = Settings(services=apart)

    assert loaded(effective(wanted).encode()) == wanted
    assert settings_from_json(settings_json(wanted)) == wanted


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.sampled_from(sorted(KEYS)), st.text(max_size=12)))
def test_any_flags_end_in_settings_that_load_again(flags: dict[str, str]) -> None:
    try:
        found = load(NOWHERE, environ={}, flags=flags)
    except ConfigError as error:
        named = {problem.where.removeprefix("--") for problem in error.problems}
    else:
        named = set()
        assert loaded(effective(found).encode()) == found
    assert named <= set(flags)
