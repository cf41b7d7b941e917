"""
A configuration tried out: laid out in a run dir of its own, judged by haproxy and nginx, removed.

``lbctl check`` does so before anything runs, and whoever reads the files again while it runs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from lbctl.errors import Problem
from lbctl.launch import tree
from lbctl.launch.collect import Collector
from lbctl.launch.configuration import Configuration, Dirs, HostFacts, Place, configure
from lbctl.launch.hooks_d import hooks_d_problems, hooks_d_warnings
from lbctl.launch.inputs import Inputs
from lbctl.launch.judge import Host
from lbctl.launch.looks import look_problems, look_warnings
from lbctl.launch.ports import clashes
from lbctl.launch.programs import program_names
from lbctl.launch.verify import files_of, nginx_claims, verify
from lbctl.layout import RunDir
from lbctl.settings.model import Settings
from lbctl.spec import BundleSpec


@dataclass(frozen=True, slots=True)
class Trial:
    """
    What is tried, and where.

    Attributes:
        dirs: the run dir is one that is not there yet.
        home: the run dir that the operator's files know.
        running: the bundle that runs on these directories; None: there is none.
    """

    dirs: Dirs
    home: RunDir
    settings: Settings
    fit_host: Host
    facts: HostFacts
    place: Place
    running: BundleSpec | None


def tried(trial: Trial, inputs: Inputs) -> tuple[Configuration, tuple[str, ...]]:
    """
    Judge everything but the network and whether ports are free.

    Returns:
        The configuration as it was tried, and warnings.

    Raises:
        ConfigError, ValidationError: with every problem.
    """
    collector = Collector()
    fit_host, dirs = trial.fit_host, trial.dirs
    configuration = configure(dirs, trial.settings, trial.facts, trial.place, inputs)
    said = collector.attempt(lambda: _said(trial, configuration, collector))
    looks, doubts = _look(trial, configuration)
    collector.add(looks)
    # What receives where a bundle runs may be its own rsyslogd.
    collector.add(() if trial.running else configuration.syslog.problems)
    collector.add(hooks_d_problems(dirs.config, fit_host.privileges))
    collector.raise_if_any()
    warnings = (*doubts, *hooks_d_warnings(dirs.config), *configuration.warnings, *(said or ()))
    return configuration, warnings


def _said(trial: Trial, configuration: Configuration, collector: Collector) -> tuple[str, ...]:
    """The programs' own warnings; the ports that both of them want are problems."""
    dirs, privileges = trial.dirs, trial.fit_host.privileges
    try:
        haproxy = configuration.haproxy.in_trial(trial.home, dirs.run)
        there = replace(configuration, haproxy=haproxy)
        tree.lay_out(dirs.run, files_of(there, privileges), privileges.account)
        accepted, said = verify(
            dirs,
            configuration,
            privileges,
            trial.fit_host.binaries,
            trial.fit_host.nginx.options,
            may_bind=privileges.may_bind,
        )
    finally:
        tree.remove(dirs.run)
    others = [*nginx_claims(dirs, accepted)]
    collector.add(clashes([*configuration.claims, *others]))
    return (*configuration.redirect_warnings(others), *accepted.warnings, *said)


def _look(trial: Trial, configuration: Configuration) -> tuple[list[Problem], list[str]]:
    """What ``ha.track`` asks for and is not here: wrong where the bundle runs, else a warning."""
    checks, privileges = trial.fit_host.checks, trial.fit_host.privileges
    names = program_names(configuration.model, trial.settings.ha.engine, configuration.more)
    groups = trial.running.groups if trial.running else ()
    found = list(look_problems(checks, privileges, names, groups))
    if trial.running is not None:
        return found, list(look_warnings(checks))
    return [], [f"{problem}; another host may have it" for problem in found]
