"""Scope: what building one route's integration may look at, and what it found out.

Made by the routes pass for each stage, passed to the features. Promises: every lookup is noted
in `needs`, so that the memo knows when a result no longer holds; every fault becomes a Problem
of the Route.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Literal, NamedTuple

import msgspec

from portico_compiler.inventory import Document, Inventory
from portico_compiler.manifests import core
from portico_compiler.manifests.shapes import FunctionEndpoint
from portico_compiler.problems import ObjectRef, Problem, Reason
from portico_compiler.routekeys import RouteKey
from portico_compiler.world import Settings
from portico_ir import codec
from portico_ir.model import ApiKind, Broken, UpstreamTls

PLACEHOLDER = "0"
"""Value of every stage variable while there is no stage to say better."""


class ApiContext(msgspec.Struct, frozen=True):
    """What routes depend on of their API; compares by value."""

    ref: ObjectRef
    """The API."""
    kind: ApiKind
    """What it behaves like."""
    functions: dict[str, FunctionEndpoint]
    """Function name to where it is invoked."""
    key_source: Literal["HEADER", "AUTHORIZER"] = "HEADER"
    """Where API keys stand (AWS §6.5)."""


class Upstream(NamedTuple):
    """A port of a Service that some route uses."""

    namespace: str
    """Of the Service."""
    service: str
    """Its name."""
    port: int | str
    """Its number; the name where only a backend of portico.dev.yaml knows the Service."""

    @property
    def id(self) -> str:
        """Key in `EndpointSet.upstreams`."""
        return f"{self.namespace}/{self.service}:{self.port}"


class Scope:
    """One route in one stage, while its integration is built."""

    def __init__(
        self,
        route: ObjectRef,
        key: RouteKey,
        api: ApiContext,
        inventory: Inventory,
        settings: Settings,
        stage: str,
        variables: Mapping[str, str] | None,
    ) -> None:
        self.route = route
        self.key = key
        self.api = api
        self.settings = settings
        self.stage = stage
        self.problems: list[Problem] = []
        """What is wrong with the Route in this stage."""
        self.needs: dict[Hashable, Hashable] = {}
        """Lookups and what they found, as `Inventory.token` tells them apart."""
        self.upstreams: set[Upstream] = set()
        """Services in use."""
        self.uses_variables = False
        """Another stage may get another integration."""
        self.tls = UpstreamTls()
        """How TLS is spoken to what the route calls."""
        self.asks_for_tls = False
        """The route says whom to trust or what to show, so TLS it must be."""
        self._inventory = inventory
        self._variables = variables

    def broken(self, field: str, reason: Reason, message: str) -> Broken:
        """Reports a fault and gives the integration that answers 500 for it."""
        self.problems.append(Problem(self.route, field, reason, message))
        return Broken(reason=f"{field}: {message}")

    def variable(self, name: str) -> str | None:
        """Value of a stage variable; None: not set."""
        self.uses_variables = True
        return PLACEHOLDER if self._variables is None else self._variables.get(name)

    def service(self, namespace: str, name: str) -> core.Service | None:
        """A Service of the World."""
        self._note(("Service", namespace, name))
        return self._inventory.service(namespace, name)

    def authorizer(self, namespace: str, name: str) -> Document | None:
        """An Authorizer of the World."""
        self._note(("Authorizer", namespace, name))
        return self._inventory.authorizer(namespace, name)

    def permits(self, referrer: ObjectRef, target: ObjectRef, group: str = "") -> bool:
        """Whether the reference to an object of `group` may cross namespaces, if it does."""
        if referrer.namespace != target.namespace:
            self._note(("grants", target.namespace))
        return self._inventory.permits(referrer, group, target)

    def depends_on(self, *key: str) -> None:
        """A lookup that was made elsewhere: `Inventory.token` knows such keys."""
        self._note(key)

    def today(self) -> str:
        """`YYYYMMDD`, or empty where no day is known; another one tomorrow."""
        self._note(("today",))
        return self.settings.today

    @property
    def tls_key(self) -> str:
        """What targets have for `tls`."""
        return "" if self.tls == UpstreamTls() else codec.tls_key(self.tls)

    def _note(self, key: Hashable) -> None:
        self.needs[key] = self._inventory.token(key)
