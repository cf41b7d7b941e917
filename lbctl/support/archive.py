"""The archive: parts, masked, with a manifest in front, in one tar.gz of bounded size. Pure."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterable, Sequence
from typing import Final

from lbctl.support.gather import Gap, Part
from lbctl.support.masking import Masker

#: Before it is compressed.
WHOLE_MAX_BYTES: Final = 20_000_000


def mask_all(parts: Sequence[Part], masker: Masker) -> tuple[Part, ...]:
    """Every part without secrets; what one shows to be a secret is hidden in all."""
    for part in parts:
        masker.learn(part.text)
    return tuple(Part(masker.text(part.name), _masked(part, masker)) for part in parts)


def bounded(
    parts: Iterable[Part], *, limit: int = WHOLE_MAX_BYTES
) -> tuple[tuple[Part, ...], tuple[Gap, ...]]:
    """Those that fit into *limit* bytes, in their order; a gap for each other."""
    kept, left, size = [], [], 0
    for part in parts:
        length = len(part.text.encode(errors="replace"))
        if size + length > limit:
            left.append(Gap(part.name, f"{length} bytes more than fit into {limit}"))
        else:
            size += length
            kept.append(part)
    return tuple(kept), tuple(left)


def manifest(title: str, notes: Iterable[str], parts: Sequence[Part], gaps: Sequence[Gap]) -> str:
    """What is inside, what is not, and why."""
    lines = [title, *notes, "", f"{len(parts)} parts:"]
    lines += [f"  {part.name} ({len(part.text)} characters)" for part in parts]
    lines += ["", f"{len(gaps)} could not be had:" if gaps else "nothing is missing"]
    lines += [f"  {gap.name}: {gap.why}" for gap in gaps]
    return "\n".join(lines) + "\n"


def pack(folder: str, parts: Iterable[Part], *, now: float) -> bytes:
    """A tar.gz with all of *parts* in *folder*; readable by their owner alone."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as archive:
        for part in parts:
            content = part.text.encode(errors="replace")
            member = tarfile.TarInfo(f"{folder}/{part.name}")
            member.size, member.mtime, member.mode = len(content), int(now), 0o600
            archive.addfile(member, io.BytesIO(content))
    return data.getvalue()


def _masked(part: Part, masker: Masker) -> str:
    if part.name.endswith(".jsonl"):
        return "".join(_line(line, masker) for line in part.text.splitlines())
    if part.name.endswith(".json"):
        return masker.json(part.text)
    return masker.text(part.text)


def _line(line: str, masker: Masker) -> str:
    try:
        return json.dumps(masker.value(json.loads(line))) + "\n"
    except ValueError:
        return masker.text(line) + "\n"
