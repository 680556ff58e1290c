"""Pass 9: domains with their certificates, mappings and rules become units.

Made by `compiler.compile` once APIs and stages are known, asked for the units of each data plane.
Promises: a domain that lacks what it asks for refuses its own hosts and nobody else's; keys are in
units only where Secrets may be used at all; an edit of nothing that they are made of costs a
comparison, and what did not change is not encoded again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from portico_compiler.features.tls_policies import tls_policy
from portico_compiler.inventory import Document, Inventory
from portico_compiler.memo import Memo
from portico_compiler.passes.api_mappings import Apis, api_mappings
from portico_compiler.passes.certificates import (
    CERTIFICATE_FIELD,
    TRUSTSTORE_FIELD,
    Reader,
    Unusable,
    certificate_of,
    truststore_of,
)
from portico_compiler.passes.domains import DomainClaims, DomainPlan, Labels
from portico_compiler.passes.routing_rules import routing_rules
from portico_compiler.passes.shards import Encoded
from portico_compiler.problems import ObjectRef, Problem
from portico_compiler.world import Settings
from portico_ir import codec
from portico_ir.domains import Certificate, DomainUnit, MutualTls, Routing
from portico_ir.domains import Mapping as DomainMapping

_ROUTING: Mapping[str | None, Routing] = {
    None: "mappings",
    "API_MAPPING_ONLY": "mappings",
    "ROUTING_RULE_ONLY": "rules",
    "ROUTING_RULE_THEN_API_MAPPING": "rules-then-mappings",
}


_KINDS = ("DomainName", "ApiMapping", "Secret", "ConfigMap", "ReferenceGrant")
"""What units of domains are made of, beside APIs and stages."""


class _Known(NamedTuple):
    unit: DomainUnit
    encoded: Encoded


class _Inputs(NamedTuple):
    """All that decides what units say; documents compare by identity."""

    documents: tuple[tuple[Document, str], ...]
    """With their ages."""
    plans: dict[ObjectRef, DomainPlan]
    apis: Apis
    namespaces: Mapping[str, Labels] | None
    today: str


class _Made(NamedTuple):
    """What came of them."""

    inputs: _Inputs
    units: dict[ObjectRef, DomainUnit]
    places: dict[ObjectRef, tuple[ObjectRef, str]]
    problems: tuple[Problem, ...]


class DomainUnits:
    """Every domain of one compile."""

    def __init__(
        self,
        claims: DomainClaims,
        apis: Apis,
        inventory: Inventory,
        namespaces: Mapping[str, Labels] | None,
        settings: Settings,
        memo: Memo,
    ) -> None:
        self._plans = claims.plans
        self._settings = settings
        self._memo = memo
        documents = tuple((d, d.object.created) for k in _KINDS for d in inventory.of_kind(k))
        inputs = _Inputs(documents, claims.plans, apis, namespaces, settings.today)
        shelf = memo.shelf("all domains")
        known: _Made | None = shelf.get("all")
        if known is None or known.inputs != inputs:
            known = self._made(inputs, inventory)
        else:
            for held in ("certificates", "truststores"):
                memo.shelf(held).keep_rest()
        shelf.keep("all", known)
        self._units, self._places = known.units, known.places
        self.problems = (*claims.problems, *known.problems)
        """About hosts, certificates, mappings, rules."""

    def units(self, data_plane: str) -> dict[str, Encoded]:
        """Unit id to unit, for the data plane of this class; empty: for the only one."""
        shelf = self._memo.shelf("domains")
        found: dict[str, Encoded] = {}
        for ref, unit in self._units.items():
            plan = self._plans[ref]
            if data_plane and plan.class_name != data_plane:
                continue
            known: _Known | None = shelf.get(ref)
            if known is None or known.unit != unit:
                data = codec.encode(unit)
                known = _Known(unit, Encoded(msgspec.Raw(data), codec.digest(data)))
            shelf.keep(ref, known)
            found[plan.unit_id] = known.encoded
        return found

    def addresses(self) -> dict[ObjectRef, tuple[str, ...]]:
        """URLs of DomainNames and ApiMappings."""
        found: dict[ObjectRef, tuple[str, ...]] = {}
        for ref, plan in self._plans.items():
            found[ref] = tuple(f"{self._origin(plan, host)}/" for host in plan.hosts)
        for ref, (domain, key) in self._places.items():
            found[ref] = tuple(f"{origin}{key}" for origin in found[domain])
        return found

    def _made(self, inputs: _Inputs, inventory: Inventory) -> _Made:
        mapped = api_mappings(inventory, inputs.plans, inputs.apis, inputs.namespaces)
        problems = list(mapped.problems)
        units: dict[ObjectRef, DomainUnit] = {}
        for ref, plan in sorted(inputs.plans.items()):
            mappings = mapped.by_domain.get(ref, ())
            units[ref] = self._unit(plan, mappings, inputs.apis, inventory, problems)
        return _Made(inputs, units, mapped.places, tuple(problems))

    def _origin(self, plan: DomainPlan, host: str) -> str:
        settings = self._settings
        if plan.spec.certificate_ref is not None:
            usual, scheme, port = 443, "https", settings.tls_port
        else:
            scheme, port = settings.scheme, settings.port
            usual = 443 if scheme == "https" else 80
        return f"{scheme}://{host}" + (f":{port}" if port not in (None, usual) else "")

    def _unit(
        self,
        plan: DomainPlan,
        mappings: tuple[DomainMapping, ...],
        apis: Apis,
        inventory: Inventory,
        problems: list[Problem],
    ) -> DomainUnit:
        spec, ref = plan.spec, plan.document.ref
        broken = plan.broken
        certificate: Certificate | None = None
        mutual: MutualTls | None = None
        memo, today = self._memo, self._settings.today
        if spec.certificate_ref is not None:
            reader = Reader(ref, CERTIFICATE_FIELD, inventory, problems, memo, "certificates")
            shown = certificate_of(reader, spec.certificate_ref, plan.hosts, today)
            if isinstance(shown, Unusable):
                broken = broken or shown.why
            elif today:  # Without a day nothing of a Secret goes into a snapshot.
                certificate = shown
        if spec.mutual_tls_authentication is not None:
            reference = spec.mutual_tls_authentication.truststore_ref
            reader = Reader(ref, TRUSTSTORE_FIELD, inventory, problems, memo, "truststores")
            trusted = truststore_of(reader, reference)
            if isinstance(trusted, Unusable):
                broken = broken or trusted.why
            else:
                mutual = trusted
        rules = routing_rules(plan, apis, inventory, problems)
        return DomainUnit(
            object=f"{ref.namespace}/{ref.name}",
            hosts=plan.hosts,
            certificate=None if broken else certificate,
            policy=tls_policy(spec.security_policy),
            mutual=None if broken else mutual,
            routing=_ROUTING[spec.routing_mode],
            mappings=mappings,
            rules=rules,
            redirect=spec.extensions is not None and spec.extensions.redirect_http,
            broken=broken,
        )
