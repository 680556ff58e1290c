"""CustomResourceDefinition of each kind: names, columns, status, and the file it stands in.

Called by `portico_cli.crds` and by tests. What `kubectl get` shows is chosen here; the schema of
the spec comes from `schema`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import yaml

from portico_compiler.crds import cel, schema
from portico_compiler.manifests.kinds import GROUP, KINDS, Kind

Schema = dict[str, Any]

CATEGORY = "portico"
VERSION = "v1alpha1"
LABEL = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
HEADER = "# Made by `make crds` from operator/portico_compiler/manifests: change it there.\n"


class Column(NamedTuple):
    """A column of `kubectl get`."""

    name: str
    """Heading."""
    path: str
    """JSONPath."""
    type: str = "string"
    """As OpenAPI has it."""
    wide: bool = False
    """Only with `-o wide`."""


class Naming(NamedTuple):
    """How a kind is called and shown."""

    plural: str
    """In paths and in the CRD's name."""
    short: str
    """What people type."""
    columns: tuple[Column, ...]
    """Before Ready and Age."""


_ADDRESS = Column("Address", ".status.addresses[0]")
_API_ID = Column("API-ID", ".status.apiId", wide=True)
_CLASS = Column("Class", ".spec.className", wide=True)
_API = Column("API", ".spec.apiRef.name")
_PODS = Column("Pods", ".status.dataPlane.acknowledged", "integer", wide=True)
_OF_API = (_ADDRESS, _CLASS, _API_ID, _PODS)

NAMES: dict[str, Naming] = {
    "PorticoClass": Naming(
        "porticoclasses",
        "pclass",
        (
            Column("Default", ".spec.default", "boolean"),
            Column("Base-Domain", ".spec.baseDomain"),
        ),
    ),
    "RestApi": Naming("restapis", "rapi", _OF_API),
    "HttpApi": Naming("httpapis", "hapi", _OF_API),
    "WebSocketApi": Naming("websocketapis", "wsapi", _OF_API),
    "Route": Naming(
        "routes",
        "rt",
        (
            _API,
            Column("Key", ".spec.routeKey"),
            Column("Type", ".spec.integration.type", wide=True),
        ),
    ),
    "Authorizer": Naming("authorizers", "authz", (_API, Column("Type", ".spec.authorizerType"))),
    "Stage": Naming(
        "stages",
        "stg",
        (
            _API,
            Column("Stage", ".spec.stageName"),
            Column("Deployment", ".spec.deploymentRef.name"),
            Column("Serves", ".status.serving.deployment", wide=True),
            _ADDRESS,
            _PODS,
        ),
    ),
    "ApiDeployment": Naming(
        "apideployments",
        "apidep",
        (
            _API,
            Column("Routes", ".status.routes", "integer"),
            Column("Revision", ".status.revision"),
            Column("Digest", ".status.digest", wide=True),
        ),
    ),
    "UsagePlan": Naming(
        "usageplans",
        "uplan",
        (
            Column("Quota", ".spec.quota.limit", "integer"),
            Column("Period", ".spec.quota.period"),
            Column("Rate", ".spec.throttle.rateLimit", "number"),
        ),
    ),
    "ApiKey": Naming(
        "apikeys",
        "akey",
        (
            Column("Enabled", ".spec.enabled", "boolean"),
            Column("Secret", ".spec.secretRef.name"),
        ),
    ),
    "IamUser": Naming("iamusers", "iamu", ()),
    "DomainName": Naming(
        "domainnames", "dname", (Column("Host", ".spec.domainNames[0]"), _ADDRESS, _CLASS)
    ),
    "ApiMapping": Naming(
        "apimappings",
        "amap",
        (
            Column("Domain", ".spec.domainRef.name"),
            Column("Path", ".spec.apiMappingKey"),
            _ADDRESS,
            _API,
            Column("Stage", ".spec.stage"),
        ),
    ),
}
_PROGRAMMED = '.status.conditions[?(@.type=="Programmed")]'
_READY = (
    Column("Ready", f"{_PROGRAMMED}.status"),
    Column("Reason", f"{_PROGRAMMED}.reason", wide=True),
    Column("Age", ".metadata.creationTimestamp", "date"),
)


def files() -> dict[str, str]:
    """File name to content, one for each of our kinds."""
    return {
        f"{GROUP}_{NAMES[kind.name].plural}.yaml": HEADER + _text(definition(kind))
        for kind in KINDS.values()
        if kind.ours
    }


def definition(kind: Kind) -> Schema:
    """The CRD of one kind."""
    naming = NAMES[kind.name]
    version = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "additionalPrinterColumns": [_column(c) for c in (*naming.columns, *_READY)],
        "schema": {"openAPIV3Schema": _root(kind)},
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{naming.plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "names": {
                "kind": kind.name,
                "listKind": f"{kind.name}List",
                "plural": naming.plural,
                "singular": kind.name.lower(),
                "shortNames": [naming.short],
                "categories": [CATEGORY],
            },
            "scope": "Namespaced" if kind.namespaced else "Cluster",
            "versions": [version],
        },
    }


def _root(kind: Kind) -> Schema:
    content = schema.document(kind.name)
    properties = {
        "apiVersion": {"description": f"{GROUP}/{VERSION}.", "type": "string"},
        "kind": {"description": f"{kind.name}.", "type": "string"},
        "metadata": {"type": "object"},
        **content["properties"],
        "status": status(kind),
    }
    if kind.label_name:
        content["x-kubernetes-validations"] = cel.of_name(LABEL, 63)
    return content | {"properties": properties}


def status(kind: Kind) -> Schema:
    """The same on every kind (design.md §3, Status); only some fill in all of it."""
    addresses = {
        "description": "URLs of APIs, Stages, DomainNames and ApiMappings, as clients use them.",
        "type": "array",
        "items": {"type": "string"},
        "x-kubernetes-list-type": "atomic",
    }
    return {
        "description": f"What became of the {kind.name}; written by the operator only.",
        "type": "object",
        "properties": {
            "observedGeneration": _count("Generation that this status speaks of."),
            "conditions": {
                "description": "Accepted, ResolvedRefs, Implemented, Programmed; of Stages also "
                "Established, of classes Served, of DomainNames CertificateValid.",
                "type": "array",
                "items": _CONDITION,
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["type"],
            },
            "apiId": {
                "description": "Ten characters [a-z0-9], as in ARNs and `$context.apiId`.",
                "type": "string",
            },
            "addresses": addresses,
            "dataPlane": {
                "description": "Data-plane pods, at most half a minute old.",
                "type": "object",
                "properties": {
                    "pods": _count("Ready pods of the class."),
                    "acknowledged": _count("Pods that serve this generation."),
                    "propagation": {
                        "description": "How long the last change took to reach all of them.",
                        "type": "string",
                    },
                },
            },
            **_of_deployments(kind.name),
            **(_USAGE if kind.name == "UsagePlan" else {}),
        },
    }


def _of_deployments(kind: str) -> Schema:
    """What only Stages and ApiDeployments say."""
    digest = {"description": "SHA-256 of the state that is held.", "type": "string"}
    revision = {
        "description": "ControllerRevision that holds it; its label portico.dev/revision finds all "
        "parts.",
        "type": "string",
    }
    if kind == "ApiDeployment":
        return {
            "digest": digest,
            "revision": revision,
            "parts": _count("ControllerRevisions that hold it together."),
            "routes": _count("Routes that it holds."),
            "authorizers": _count("Authorizers that it holds."),
        }
    if kind != "Stage":
        return {}
    return {
        "serving": {
            "description": "What the stage serves; absent: it answers 500 to everything.",
            "type": "object",
            "properties": {
                "current": {
                    "description": "True: the current routes.",
                    "type": "boolean",
                },
                "deployment": {
                    "description": "ApiDeployment whose state is served; `namespace~name` where it "
                    "is in another namespace.",
                    "type": "string",
                },
                "revision": revision,
                "digest": digest,
            },
        }
    }


def _count(text: str) -> Schema:
    return {"description": text, "type": "integer", "format": "int64", "minimum": 0}


_USAGE: Schema = {
    "usage": {
        "description": "What was used of the plan, at most five minutes old; by key and day: "
        "`portico usage`.",
        "type": "object",
        "properties": {
            "requests": _count("Of all keys in this period; without a quota, today."),
            "today": _count("Of all keys, today."),
            "keys": _count("Keys that made them."),
            "periodStart": {"description": "First day of the period, UTC.", "type": "string"},
            "periodEnd": {"description": "First day of the next one.", "type": "string"},
            "accuracy": {"description": "How far quotas may be off.", "type": "string"},
        },
    }
}


_CONDITION: Schema = {
    "description": "One thing that is known of the object.",
    "type": "object",
    "required": ["type", "status", "lastTransitionTime", "reason", "message"],
    "properties": {
        "type": {
            "description": "What it is about, such as Programmed.",
            "type": "string",
            "maxLength": 316,
            "pattern": "^[A-Za-z]([A-Za-z0-9]*)$",
        },
        "status": {
            "description": "Whether it holds.",
            "type": "string",
            "enum": ["True", "False", "Unknown"],
        },
        "reason": {
            "description": "Why, for machines.",
            "type": "string",
            "minLength": 1,
            "maxLength": 1024,
            "pattern": "^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$",
        },
        "message": {
            "description": "Why, for people.",
            "type": "string",
            "maxLength": 32768,
        },
        "lastTransitionTime": {
            "description": "Since when it has this status.",
            "type": "string",
            "format": "date-time",
        },
        "observedGeneration": _count("Generation that this condition speaks of."),
    },
}


def _column(column: Column) -> Schema:
    wide = {"priority": 1} if column.wide else {}
    return {"name": column.name, "type": column.type, "jsonPath": column.path} | wide


class _Dumper(yaml.CSafeDumper):
    """Never an alias: kubectl reads them, people do not."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(document: Schema) -> str:
    return yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)
