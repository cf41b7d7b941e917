"""
The operator's certificates, read again while the bundle runs: certificates are renewed by night.
The API's own is looked at with them, wherever it lies.

It loads little, so that it takes a moment.
"""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from lbctl.errors import (
    EXIT_OK,
    EXIT_VALIDATION,
    LbctlError,
    Problem,
    ProblemsError,
    ValidationError,
)
from lbctl.follow.generation import (
    Raw,
    Verdict,
    decoded,
    encoded,
    locked,
    read_raw,
    verdict_of,
    write_raw,
    write_verdict,
)
from lbctl.ha.carp import Password
from lbctl.haproxy.pem import Choice, choose
from lbctl.launch.fingerprint import Fingerprints
from lbctl.launch.inputs import read_certs
from lbctl.launch.renewal import renew
from lbctl.launch.secrets import read_pair
from lbctl.layout import ConfigDir, RunDir
from lbctl.settings.transfer import settings_from_json
from lbctl.spec import BundleSpec, read_spec


def recertify(run: RunDir) -> Verdict:
    """
    All of it; the verdict is on disk when this returns.

    Raises:
        UnreachableError: no bundle runs on *run*.
        OSError: the run dir cannot be written.
    """
    began = time.monotonic()
    spec = read_spec(run.spec)
    with locked(run):
        try:
            number, choice, told = _read_again(run, spec)
            verdict = verdict_of(
                began,
                number=number,
                code=EXIT_VALIDATION if choice.problems else EXIT_OK,
                problems=choice.problems,
                warnings=(*map(str, choice.warnings), *told),
            )
        except LbctlError as error:
            problems = error.problems if isinstance(error, ProblemsError) else ()
            verdict = verdict_of(
                began,
                code=error.exit_code,
                problems=problems or (Problem("certs", str(error)),),
            )
        write_verdict(run, "certs", verdict)
    return verdict


def _read_again(run: RunDir, spec: BundleSpec) -> tuple[int, Choice, tuple[str, ...]]:
    """The number of the current generation, what is served, and warnings."""
    config = ConfigDir(Path(spec.config_dir))
    raw = read_raw(run)
    before = {name: decoded(pem) for name, pem in raw["certs"].items()}
    # One that is half written must not take the place of a good one.
    choice = choose(before, read_certs(config), datetime.now(UTC), str(config.certs), may_end=False)
    number: int = raw["number"]
    pair, told = _pair_of_api(raw)
    secrets = {**raw["secrets"], **pair}
    if choice.certs == before and secrets == raw["secrets"]:
        return number, choice, told
    number += 1
    certs = {name: encoded(pem) for name, pem in choice.certs.items()}
    write_raw(run, {**raw, "certs": certs, "secrets": secrets, "number": number, "at": time.time()})
    if not spec.groups or choice.certs == before:
        return number, choice, told
    digest = Fingerprints(Password.read(run.password)).of_certs(choice.certs)
    told += renew(run, replace(spec, digests={**spec.digests, "certs": digest}))
    return number, choice, told


def _pair_of_api(raw: Raw) -> tuple[dict[str, str], tuple[str, ...]]:
    """As a generation has it, and warnings: one that cannot be used leaves the one before."""
    try:
        pair = read_pair(settings_from_json(raw["settings"]))
    except ValidationError as error:
        return {}, tuple(f"{problem}; the one before is shown" for problem in error.problems)
    return {key: encoded(pem) for key, pem in pair.items()}, ()
