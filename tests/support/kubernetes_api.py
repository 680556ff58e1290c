"""A small synchronous client of the Kubernetes API, for tests that say what stands in a cluster.

Not the operator's client: tests must not see the cluster through the code that they test. One
connection is kept per thread; every write says `fieldValidation=Strict` (design.md §3), so a
manifest with a misspelt field fails the test that wrote it.
"""

from __future__ import annotations

import http.client
import json
import ssl
import threading
import time
import urllib.parse
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

GROUP_VERSION = "portico.dev/v1alpha1"
OURS = {
    "PorticoClass": "porticoclasses",
    "RestApi": "restapis",
    "HttpApi": "httpapis",
    "WebSocketApi": "websocketapis",
    "Route": "routes",
    "Authorizer": "authorizers",
    "Stage": "stages",
    "ApiDeployment": "apideployments",
    "UsagePlan": "usageplans",
    "ApiKey": "apikeys",
    "IamUser": "iamusers",
    "DomainName": "domainnames",
    "ApiMapping": "apimappings",
}
"""Kind to plural."""
PLURALS = {
    **OURS,
    "Namespace": "namespaces",
    "Node": "nodes",
    "Pod": "pods",
    "Service": "services",
    "ServiceAccount": "serviceaccounts",
    "Secret": "secrets",
    "ConfigMap": "configmaps",
    "EndpointSlice": "endpointslices",
    "Event": "events",
    "Lease": "leases",
    "ControllerRevision": "controllerrevisions",
    "Deployment": "deployments",
    "Role": "roles",
    "RoleBinding": "rolebindings",
    "ClusterRole": "clusterroles",
    "ClusterRoleBinding": "clusterrolebindings",
    "CustomResourceDefinition": "customresourcedefinitions",
    "TokenReview": "tokenreviews",
    "ReferenceGrant": "referencegrants",
}
CLUSTER_SCOPED = frozenset(
    {
        "PorticoClass",
        "Namespace",
        "Node",
        "ClusterRole",
        "ClusterRoleBinding",
        "CustomResourceDefinition",
        "TokenReview",
    }
)
IN_NAMESPACES = (
    *(f"{GROUP_VERSION}/{kind}" for kind in OURS if kind != "PorticoClass"),
    "discovery.k8s.io/v1/EndpointSlice",
    "coordination.k8s.io/v1/Lease",
    "apps/v1/ControllerRevision",
    "v1/Service",
    "v1/Secret",
    "v1/ConfigMap",
    "v1/Pod",
    "v1/ServiceAccount",
)
"""What tests put into namespaces; nobody else clears it away where no controllers run."""
FIELD_OWNER = "portico-tests"
IDLE_S = 30.0
"""A connection that nobody used for so long is opened again; API servers close them after 90."""
Object = dict[str, Any]


class Refused(Exception):
    """The API server said no."""

    def __init__(self, status: int, body: Any) -> None:
        self.status = status
        """HTTP status."""
        self.body = body
        """The Status object, decoded where it was JSON."""
        self.message: str = body.get("message", "") if isinstance(body, dict) else str(body)
        """What a user reads."""
        super().__init__(f"{status}: {self.message}")

    @property
    def causes(self) -> tuple[tuple[str, str], ...]:
        """Field and message of every complaint, as `kubectl` prints them."""
        details = (self.body.get("details") or {}) if isinstance(self.body, dict) else {}
        found = details.get("causes") or ()
        return tuple((cause.get("field", ""), cause.get("message", "")) for cause in found)


class Answer(NamedTuple):
    """A response."""

    status: int
    """HTTP status."""
    body: Any
    """Decoded JSON, or the text."""
    warnings: tuple[str, ...]
    """Warning headers."""


def plural(kind: str) -> str:
    """How a kind stands in paths."""
    return PLURALS.get(kind) or f"{kind.lower()}s"


def path_of(api_version: str, kind: str, namespace: str = "", name: str = "") -> str:
    """Path of a collection, or of an object where a name is given."""
    root = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
    place = "" if kind in CLUSTER_SCOPED or not namespace else f"/namespaces/{namespace}"
    return f"{root}{place}/{plural(kind)}" + (f"/{name}" if name else "")


class KubernetesApi:
    """The API as one user sees it."""

    def __init__(self, url: str, token: str, ca_file: str) -> None:
        self._host = urllib.parse.urlsplit(url).netloc
        self._token = token
        self._context = ssl.create_default_context(cafile=ca_file)
        self._local = threading.local()
        self._open: set[http.client.HTTPSConnection] = set()

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        content_type: str = "application/json",
        timeout: float = 60.0,
    ) -> Answer:
        """One exchange; raises Refused from 400 on."""
        headers = {"Authorization": f"Bearer {self._token}", "Accept": "application/json"}
        data = None
        if body is not None:
            headers["Content-Type"] = content_type
            data = json.dumps(body).encode()
        connection = self._connection(timeout)
        try:
            connection.request(method, path, body=data, headers=headers)
            response = connection.getresponse()
            raw = response.read()
        except (OSError, http.client.HTTPException):
            connection.close()  # The next request opens it again.
            raise
        try:
            decoded = json.loads(raw)
        except ValueError:
            decoded = raw.decode(errors="replace")
        if response.status >= 400:
            raise Refused(response.status, decoded)
        warnings = response.headers.get_all("Warning") or []
        return Answer(response.status, decoded, tuple(warnings))

    def close(self) -> None:
        """Close what every thread opened; the next request opens it again."""
        for connection in list(self._open):
            connection.close()

    def get(self, api_version: str, kind: str, name: str, namespace: str = "") -> Object:
        """One object."""
        return self._object("GET", path_of(api_version, kind, namespace, name))

    def list(self, api_version: str, kind: str, namespace: str = "") -> list[Object]:
        """Every object of a kind, in a namespace or in all."""
        items = self._object("GET", path_of(api_version, kind, namespace))["items"]
        return [{"apiVersion": api_version, "kind": kind, **item} for item in items]

    def create(self, manifest: Mapping[str, Any], *, dry_run: bool = False) -> Object:
        """POST; refuses fields that the schema does not know."""
        path = path_of(manifest["apiVersion"], manifest["kind"], _namespace(manifest))
        return self._object("POST", f"{path}?{_query(dry_run)}", manifest)

    def replace(self, manifest: Mapping[str, Any], subresource: str = "") -> Object:
        """PUT, of a subresource where one is named."""
        return self._object("PUT", f"{_path(manifest, subresource)}?{_query()}", manifest)

    def apply(
        self,
        manifest: Mapping[str, Any],
        subresource: str = "",
        *,
        owner: str = FIELD_OWNER,
        dry_run: bool = False,
    ) -> Object:
        """Server-side apply, taking over whatever another owner set."""
        query = f"{_query(dry_run)}&force=true&fieldManager={owner}"
        return self._object(
            "PATCH",
            f"{_path(manifest, subresource)}?{query}",
            manifest,
            "application/apply-patch+yaml",
        )

    def patch(
        self,
        api_version: str,
        kind: str,
        name: str,
        change: Mapping[str, Any],
        namespace: str = "",
        subresource: str = "",
    ) -> Object:
        """JSON merge patch."""
        path = path_of(api_version, kind, namespace, name)
        path += f"/{subresource}" if subresource else ""
        return self._object("PATCH", f"{path}?{_query()}", change, "application/merge-patch+json")

    def delete(self, api_version: str, kind: str, name: str, namespace: str = "") -> None:
        """Gone, whether or not it was there; a pod without its grace."""
        try:
            path = path_of(api_version, kind, namespace, name)
            self.request("DELETE", path, {"gracePeriodSeconds": 0})
        except Refused as refused:
            if refused.status != 404:
                raise

    def create_namespace(self, name: str, labels: Mapping[str, str] | None = None) -> None:
        """A namespace with these labels."""
        metadata = {"name": name, "labels": dict(labels or {})}
        self.create({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})

    def remove_namespace(self, name: str) -> None:
        """Everything in a namespace, then the namespace: the job of a controller that is absent."""
        for each in IN_NAMESPACES:
            version, _, kind = each.rpartition("/")
            try:
                self.request("DELETE", path_of(version, kind, name), {"gracePeriodSeconds": 0})
            except Refused as refused:
                if refused.status != 404:  # Our kinds need not be there.
                    raise
        self.delete("v1", "Namespace", name)
        path = path_of("v1", "Namespace", "", name)
        try:
            namespace = self._object("GET", path)
            namespace["spec"] = {"finalizers": []}
            self.request("PUT", f"{path}/finalize", namespace)
        except Refused as refused:
            if refused.status != 404:
                raise

    def service_account_token(
        self,
        namespace: str,
        name: str,
        *,
        audiences: Iterable[str] = (),
        pod: Object | None = None,
        seconds: int = 3600,
    ) -> str:
        """A token as kubelet projects it: of an account, for an audience, bound to a pod."""
        spec: Object = {"expirationSeconds": seconds, "audiences": list(audiences)}
        if pod is not None:
            spec["boundObjectRef"] = {
                "apiVersion": "v1",
                "kind": "Pod",
                "name": pod["metadata"]["name"],
                "uid": pod["metadata"]["uid"],
            }
        path = path_of("v1", "ServiceAccount", namespace, name) + "/token"
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
        return str(self._object("POST", path, body)["status"]["token"])

    def _object(
        self, method: str, path: str, body: Any = None, content_type: str = "application/json"
    ) -> Object:
        answer = self.request(method, path, body, content_type)
        assert isinstance(answer.body, dict), answer
        return answer.body

    def _connection(self, timeout: float) -> http.client.HTTPSConnection:
        connection: http.client.HTTPSConnection | None
        connection = getattr(self._local, "connection", None)
        now = time.monotonic()
        if connection is not None and now - self._local.used > IDLE_S:
            connection.close()  # The server may just be closing it, too.
        self._local.used = now
        if connection is None:
            connection = http.client.HTTPSConnection(
                self._host, timeout=timeout, context=self._context
            )
            self._local.connection = connection
            self._open.add(connection)
        return connection


def _namespace(manifest: Mapping[str, Any]) -> str:
    if manifest["kind"] in CLUSTER_SCOPED:
        return ""
    return str(manifest["metadata"].get("namespace") or "default")


def _path(manifest: Mapping[str, Any], subresource: str) -> str:
    path = path_of(
        manifest["apiVersion"],
        manifest["kind"],
        _namespace(manifest),
        manifest["metadata"]["name"],
    )
    return f"{path}/{subresource}" if subresource else path


def _query(dry_run: bool = False) -> str:
    return "fieldValidation=Strict" + ("&dryRun=All" if dry_run else "")
