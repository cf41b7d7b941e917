"""
A small reader of kustomizations: as much of kustomize as ``deploy/kubernetes`` uses, and no more.

Whatever else a kustomization says is an error, so that nothing is taken for checked that was not
read. The hash at the end of a ConfigMap's name is not worked out: here it is always the same.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import yaml

Plain = dict[str, Any]

HASH: Final = "0123456789"
_KNOWN: Final = {
    "apiVersion",
    "kind",
    "resources",
    "labels",
    "configMapGenerator",
    "patches",
}
#: By which key items of a list belong together, as the API's types say.
_MERGE_KEYS: Final = {"containers": "name", "env": "name", "volumes": "name"}
_PORT_KEYS: Final = ("containerPort", "port")


def rendered(directory: Path) -> list[Plain]:
    """All objects of a kustomization, as ``kubectl kustomize`` prints them, in another order."""
    objects = _built(directory)
    for one in objects:
        _rename(one, {_name(other) for other in objects if other["kind"] == "ConfigMap"})
    return objects


def _built(directory: Path) -> list[Plain]:
    said = yaml.safe_load((directory / "kustomization.yaml").read_text("utf-8"))
    assert set(said) <= _KNOWN, f"{directory}: not read here: {set(said) - _KNOWN}"
    objects: list[Plain] = []
    for name in said["resources"]:
        path = directory / name
        objects += _built(path) if path.is_dir() else list(yaml.safe_load_all(path.read_text()))
    own: list[Plain] = []
    for made in said.get("configMapGenerator", ()):
        _generate(directory, made, objects, own)
    objects += own
    for patch in said.get("patches", ()):
        _patch(directory, patch, objects)
    for labels in said.get("labels", ()):
        assert set(labels) == {"pairs"}
        for one in objects:
            one["metadata"].setdefault("labels", {}).update(labels["pairs"])
    return objects


def _name(one: Plain) -> str:
    return str(one["metadata"]["name"])


def _generate(directory: Path, made: Plain, known: list[Plain], own: list[Plain]) -> None:
    assert set(made) <= {"name", "files", "behavior"}
    content = {name: (directory / name).read_text("utf-8") for name in made["files"]}
    if made.get("behavior") == "replace":
        (old,) = (o for o in known if o["kind"] == "ConfigMap" and _name(o) == made["name"])
        old["data"] = content
        return
    own.append(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": made["name"]},
            "data": content,
        }
    )


def _patch(directory: Path, patch: Plain, objects: list[Plain]) -> None:
    target = patch["target"]
    assert set(target) == {"kind", "name"}
    (one,) = (o for o in objects if (o["kind"], _name(o)) == (target["kind"], target["name"]))
    change = yaml.safe_load((directory / patch["path"]).read_text("utf-8"))
    if isinstance(change, dict):
        assert (change["kind"], _name(change)) == (target["kind"], target["name"])
        one.update(_merged(one, change))
        return
    for step in change:
        assert step["op"] == "add"
        assert step["path"].endswith("/-")
        at: Any = one
        for part in step["path"].split("/")[1:-1]:
            at = at[int(part)] if isinstance(at, list) else at[part]
        at.append(step["value"])


def _merged(old: Any, new: Any, name: str = "") -> Any:
    """A strategic merge: mappings key by key, lists by what says who is who."""
    if isinstance(old, dict) and isinstance(new, dict):
        found = {key: _merged(old[key], new[key], key) for key in old.keys() & new.keys()}
        return {**old, **new, **found}
    if not isinstance(old, list) or not isinstance(new, list):
        return new
    key = _MERGE_KEYS.get(name) or next(key for key in _PORT_KEYS if key in new[0])
    by_key = {one[key]: one for one in new}
    kept = [_merged(one, by_key.pop(one[key], {})) for one in old]
    return [*by_key.values(), *kept]


def _rename(one: Plain, maps: set[str]) -> None:
    """The generated ones get their hash, here and where they are named."""
    if one["kind"] == "ConfigMap":
        one["metadata"]["name"] += f"-{HASH}"
    for volume in _volumes(one):
        if (told := volume.get("configMap")) and told["name"] in maps:
            told["name"] += f"-{HASH}"


def _volumes(one: Plain) -> list[Plain]:
    found: list[Plain] = (
        one["spec"]["template"]["spec"]["volumes"] if one["kind"] == "Deployment" else []
    )
    return found
