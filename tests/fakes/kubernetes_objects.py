"""
Services and EndpointSlices as API servers give them: shapes that were recorded, with names of ours.

Where from: kind's Kubernetes 1.18 and 1.36, and a managed 1.2x cluster, as their answers stand in
the tests of VictoriaMetrics, SuperEdge and others. That they are valid is held by the API's own
schemas (``tests/contract/test_kubernetes_double.py``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Plain = dict[str, Any]

READY = {"ready": True, "serving": True, "terminating": False}
NOT_READY = {"ready": False, "serving": False, "terminating": False}
ENDS = {"ready": False, "serving": True, "terminating": True}
ENDED = {"ready": False, "serving": False, "terminating": True}
LABELS = {"lbctl.enable": "true"}


def service(
    name: str = "hello",
    namespace: str = "default",
    *,
    ports: Sequence[tuple[str, int, str]] = (("http", 80, "TCP"),),
    created: str = "2026-08-21T00:00:00Z",
    labels: Mapping[str, str] | None = None,
    kind: str = "ClusterIP",
    says: Mapping[str, str] | None = None,
) -> Plain:
    """*says*: annotations without ``lbctl.``."""
    said = {f"lbctl.{key}": value for key, value in (says or {}).items()}
    return {
        "kind": "Service",
        "apiVersion": "v1",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "uid": f"28540fa8-22cc-4f07-8393-{name:0<12.12}",
            "resourceVersion": "1",
            "creationTimestamp": created,
            "labels": {**LABELS, **(labels or {})},
            "annotations": said,
            "managedFields": [{"manager": "kubectl-client-side-apply", "operation": "Update"}],
        },
        "spec": {
            "ports": [
                {"name": port, "protocol": protocol, "port": number, "targetPort": number}
                for port, number, protocol in ports
            ],
            "selector": {"app": name},
            "clusterIP": "10.96.0.20",
            "clusterIPs": ["10.96.0.20"],
            "type": kind,
            "sessionAffinity": "None",
            "ipFamilies": ["IPv4"],
            "ipFamilyPolicy": "SingleStack",
            "internalTrafficPolicy": "Cluster",
        },
        "status": {"loadBalancer": {}},
    }


def endpoint(
    address: str = "10.0.0.1", pod: str | None = "hello-1", conditions: object = None, **more: Any
) -> Plain:
    """One of a slice; without *pod*: nobody's."""
    ref = {"kind": "Pod", "namespace": "default", "name": pod, "uid": f"4d8cffb5-{pod}"}
    return {
        "addresses": [address],
        "conditions": READY if conditions is None else conditions,
        **({"targetRef": ref} if pod else {}),
        "nodeName": "node-07",
        "zone": "eu-west-1a",
        **more,
    }


def endpoint_slice(
    *endpoints: Plain,
    of: str = "hello",
    name: str = "l28pc",
    namespace: str = "default",
    ports: Sequence[tuple[str, int, str]] = (("http", 8080, "TCP"),),
    family: str = "IPv4",
    labels: Mapping[str, str] = LABELS,
) -> Plain:
    """Its labels are its Service's, as the controller copies them."""
    owner = {"apiVersion": "v1", "kind": "Service", "name": of, "uid": "28540fa8-22cc-4f07-8393"}
    return {
        "kind": "EndpointSlice",
        "apiVersion": "discovery.k8s.io/v1",
        "metadata": {
            "name": f"{of}-{name}",
            "generateName": f"{of}-",
            "namespace": namespace,
            "uid": f"19c23c9e-58c6-4676-ab46-{name}",
            "resourceVersion": "1",
            "generation": 2,
            "creationTimestamp": "2026-08-21T00:00:00Z",
            "labels": {
                **labels,
                "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
                "kubernetes.io/service-name": of,
            },
            "annotations": {
                "endpoints.kubernetes.io/last-change-trigger-time": "2026-08-21T00:00:18Z"
            },
            "ownerReferences": [{**owner, "controller": True, "blockOwnerDeletion": True}],
        },
        "addressType": family,
        "endpoints": list(endpoints),
        "ports": [
            {"name": port, "protocol": protocol, "port": number} for port, number, protocol in ports
        ],
    }


def bookmark(kind: str, api: str, version: str) -> Plain:
    """As API servers send it: with what Go says of a value that is none."""
    meta = {"resourceVersion": version, "creationTimestamp": None}
    return {"type": "BOOKMARK", "object": {"kind": kind, "apiVersion": api, "metadata": meta}}


def status(code: int, reason: str, message: str) -> Plain:
    """What an API server says when it says no."""
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": message,
        "reason": reason,
        "code": code,
    }
