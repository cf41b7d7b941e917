"""What the Vagrantfile asks for: its machines in their order, and the lines that make them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from lbctl.lab.hosts import run

ROOT = Path(__file__).resolve().parents[1]
VAGRANTFILE = ROOT / "vagrant" / "Vagrantfile"


@dataclass(frozen=True, slots=True)
class Wanted:
    """
    A machine as the Vagrantfile has it.

    Attributes:
        lines: of its shell provisioners, in their order.
    """

    name: str
    address: str
    lines: tuple[str, ...]


def wanted_machines() -> dict[str, Wanted]:
    """By name, in the order in which Vagrant makes them."""
    reader = Path(__file__).with_name("vagrantfile.rb")
    said = json.loads(run(["ruby", str(reader), str(VAGRANTFILE)]).stdout)
    return {name: Wanted(name, one["address"], tuple(one["lines"])) for name, one in said.items()}
