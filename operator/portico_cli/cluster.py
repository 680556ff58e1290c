"""A cluster as the command line reaches it: the official client, with kubectl's configuration.

Called by the commands that act on a cluster. Promises: imported only when one of them runs; what
an API server or a kubeconfig refuses becomes a `ClusterFault` in a sentence, never a traceback.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from portico_compiler.manifests.kinds import GROUP

VERSION = "v1alpha1"
_TIMEOUT_S = 15


class ClusterFault(Exception):
    """What went wrong between here and the API server."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status
        """HTTP status; 0 when there was no answer."""


class Forwarded(NamedTuple):
    """A connection to a port of a pod."""

    socket: Any
    error: Callable[[], str]
    """Why it broke, in kubelet's words; empty: nobody said."""


class Cluster:
    """One API server."""

    def __init__(self, kubeconfig: str | None, context: str | None) -> None:
        from kubernetes import client
        from kubernetes.config import kube_config

        reader: Any = kube_config
        configuration = client.Configuration()
        self.namespace = "default"
        """That of the context."""
        try:
            _, active = _contexts(reader, kubeconfig)
            reader.load_kube_config(kubeconfig, context, client_configuration=configuration)
            self.namespace = _namespace(reader, kubeconfig, context, active)
        except Exception as error:
            message = f"no cluster: {_first_line(error)} (say --kubeconfig, or set KUBECONFIG)"
            raise ClusterFault(message) from error
        configuration.retries = 1
        api = client.ApiClient(configuration)
        # What the client says of its answers' types (object) helps nobody.
        self._api: Any = api
        self._coordination: Any = client.CoordinationV1Api(api)
        self._custom: Any = client.CustomObjectsApi(api)
        self._core: Any = client.CoreV1Api(api)

    # --- objects of ours ----------------------------------------------------------------------

    def create(self, plural: str, body: dict[str, Any]) -> dict[str, Any]:
        """Makes an object of ours, strictly: a misspelt field is an error."""
        namespace = body["metadata"]["namespace"]
        with _spoken():
            made: dict[str, Any] = self._custom.create_namespaced_custom_object(
                GROUP,
                VERSION,
                namespace,
                plural,
                body,
                field_validation="Strict",
                _request_timeout=_TIMEOUT_S,
            )
        return made

    def get(self, plural: str, namespace: str, name: str) -> dict[str, Any]:
        """One object of ours."""
        with _spoken():
            found: dict[str, Any] = self._custom.get_namespaced_custom_object(
                GROUP, VERSION, namespace, plural, name, _request_timeout=_TIMEOUT_S
            )
        return found

    def list(self, plural: str, namespace: str | None) -> Iterator[dict[str, Any]]:
        """Objects of ours in a namespace, or in all; page by page."""
        token: str | None = None
        while True:
            arguments: dict[str, Any] = {"limit": 500, "_request_timeout": _TIMEOUT_S}
            if token:
                arguments["_continue"] = token
            with _spoken():
                if namespace is None:
                    page = self._custom.list_cluster_custom_object(
                        GROUP, VERSION, plural, **arguments
                    )
                else:
                    page = self._custom.list_namespaced_custom_object(
                        GROUP, VERSION, namespace, plural, **arguments
                    )
            yield from page["items"]
            token = page["metadata"].get("continue")
            if not token:
                return

    def patch(self, plural: str, namespace: str, name: str, body: dict[str, Any]) -> None:
        """Merges into an object of ours."""
        with _spoken():
            self._custom.patch_namespaced_custom_object(
                GROUP,
                VERSION,
                namespace,
                plural,
                name,
                body,
                field_validation="Strict",
                _request_timeout=_TIMEOUT_S,
            )

    def delete(self, plural: str, namespace: str, name: str) -> None:
        """Removes an object of ours."""
        with _spoken():
            self._custom.delete_namespaced_custom_object(
                GROUP, VERSION, namespace, plural, name, _request_timeout=_TIMEOUT_S
            )

    # --- the operator -------------------------------------------------------------------------

    def pods(self, selector: str, namespace: str | None) -> Iterator[dict[str, Any]]:
        """Pods in a namespace, or in all."""
        arguments = {"label_selector": selector, "_request_timeout": _TIMEOUT_S}
        with _spoken():
            if namespace is None:
                page = self._core.list_pod_for_all_namespaces(**arguments)
            else:
                page = self._core.list_namespaced_pod(namespace, **arguments)
        return map(self._plain, page.items)

    def lease(self, namespace: str, name: str) -> dict[str, Any]:
        """Who leads."""
        with _spoken():
            found = self._coordination.read_namespaced_lease(
                name, namespace, _request_timeout=_TIMEOUT_S
            )
        return self._plain(found)

    def forward(self, namespace: str, pod: str, port: int) -> Forwarded:
        """A connection to a port of a pod, on its loopback too."""
        from kubernetes.stream import portforward

        connect = self._core.connect_get_namespaced_pod_portforward
        with _spoken():
            opened: Any = portforward(
                connect, pod, namespace, ports=str(port), _request_timeout=_TIMEOUT_S
            )
        connection = opened.socket(port)
        connection.settimeout(_TIMEOUT_S)
        return Forwarded(connection, lambda: str(opened.error(port) or "").strip())

    def _plain(self, found: Any) -> dict[str, Any]:
        plain: dict[str, Any] = self._api.sanitize_for_serialization(found)
        return plain

    # --- Secrets ------------------------------------------------------------------------------

    def create_secret(self, body: dict[str, Any]) -> None:
        """Makes a Secret."""
        with _spoken():
            self._core.create_namespaced_secret(
                body["metadata"]["namespace"], body, _request_timeout=_TIMEOUT_S
            )


def _contexts(kube_config: Any, kubeconfig: str | None) -> tuple[Any, dict[str, Any]]:
    found: tuple[Any, dict[str, Any]] = kube_config.list_kube_config_contexts(kubeconfig)
    return found


def _namespace(
    kube_config: Any, kubeconfig: str | None, context: str | None, active: dict[str, Any]
) -> str:
    chosen = active
    if context:
        every, _ = _contexts(kube_config, kubeconfig)
        chosen = next((one for one in every if one["name"] == context), active)
    return str((chosen.get("context") or {}).get("namespace") or "default")


@contextmanager
def _spoken() -> Iterator[None]:
    """What the client raises, in a sentence."""
    from kubernetes.client.exceptions import ApiException
    from urllib3.exceptions import HTTPError

    try:
        yield
    except ApiException as error:
        raise ClusterFault(_refusal(error), int(error.status or 0)) from error
    except (HTTPError, OSError) as error:
        message = f"the API server cannot be reached: {_first_line(error)}"
        raise ClusterFault(message) from error


def _refusal(error: Any) -> str:
    try:
        message = json.loads(error.body)["message"]
    except (ValueError, TypeError, KeyError):
        message = f"{error.status} {error.reason}"
    if int(error.status or 0) in (401, 403):
        return f"the API server refuses: {message}"
    return str(message)


def _first_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
