#!/usr/bin/env python3
"""Makes definitions.json.gz: the published Kubernetes API schema, cut down to the served kinds.

Usage: pip download --no-deps kubernetes-validate; unzip the wheel; then
       make.py kubernetes_validate/kubernetes-json-schema/v1.36.0-local/_definitions.json

The package (Apache-2.0) carries the OpenAPI definitions of Kubernetes (Apache-2.0) with the
x-kubernetes-* extensions, which is what patches and explain need. Here they get the shape of the
components of an OpenAPI v3 document again: no "null" types, references as an API server writes them.
The output is byte for byte the same for the same input.
"""

import gzip
import json
import pathlib
import re
import sys

ROOTS = [
    "io.k8s.api.core.v1." + k
    for k in "ConfigMap Endpoints Event Namespace Node Pod Service ServiceAccount".split()
] + [
    "io.k8s.api.admissionregistration.v1.MutatingWebhookConfiguration",
    "io.k8s.api.admissionregistration.v1.ValidatingAdmissionPolicyBinding",
    "io.k8s.api.apps.v1.DaemonSet",
    "io.k8s.api.apps.v1.Deployment",
    "io.k8s.api.coordination.v1.Lease",
    "io.k8s.api.discovery.v1.EndpointSlice",
    "io.k8s.api.networking.v1.NetworkPolicy",
    "io.k8s.api.authentication.v1.SelfSubjectReview",
    "io.k8s.api.authentication.v1.TokenRequest",
    "io.k8s.api.authorization.v1.SelfSubjectAccessReview",
    "io.k8s.api.authorization.v1.SelfSubjectRulesReview",
    "io.k8s.api.authorization.v1.SubjectAccessReview",
]
PREFIX = "#/$defs/"


def convert(node):
    if isinstance(node, list):
        return [convert(n) for n in node]
    if not isinstance(node, dict):
        return node
    out = {}
    for key, value in node.items():
        if key == "$ref":
            ref = {"$ref": "#/components/schemas/" + value.removeprefix(PREFIX)}
            # An API server wraps a reference that has a description of its own.
            if len(node) == 1:
                return ref
            out["allOf"] = [ref]
        elif key == "type" and isinstance(value, list):
            out["type"] = next(t for t in value if t != "null")
        elif key == "properties":
            out[key] = {k: convert(v) for k, v in value.items()}
        elif key == "enum":
            continue  # only apiVersion and kind carry one, and the server checks those itself
        else:
            out[key] = convert(value)
    return out


def main():
    defs = json.load(open(sys.argv[1]))["$defs"]
    todo, seen = list(ROOTS), {}
    while todo:
        name = todo.pop()
        if name in seen:
            continue
        seen[name] = convert(defs[name])
        todo += re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(seen[name]))
    text = json.dumps({k: seen[k] for k in sorted(seen)}, separators=(",", ":"), sort_keys=True)
    target = pathlib.Path(__file__).with_name("definitions.json.gz")
    target.write_bytes(gzip.compress(text.encode(), 9, mtime=0))
    print(f"{target}: {len(seen)} definitions, {len(text)} bytes, {target.stat().st_size} compressed")


main()
