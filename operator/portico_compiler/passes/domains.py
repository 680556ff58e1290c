"""Who may claim which hosts of their own: baseDomain, allowedDomains, and the elder among equals.

Called by `compiler.compile`. Promises: no host of a platform's own domain and none outside what its
class allows is ever claimed; of two DomainNames with one host the elder has it, whatever their
classes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import NamedTuple

from portico_compiler.inventory import Document, Inventory
from portico_compiler.manifests.classes import AllowedDomain
from portico_compiler.manifests.domains import DomainName, DomainNameSpec
from portico_compiler.manifests.shapes import LabelSelector
from portico_compiler.passes.apis import class_of
from portico_compiler.passes.gateway import Ground
from portico_compiler.problems import ObjectRef, Problem, Reason, field_path
from portico_compiler.selectors import chooses

Labels = Mapping[str, str]
IsMeant = Callable[[LabelSelector], bool]
_WILDCARD = "*."


def refusal(
    host: str, is_meant: IsMeant, allowed: Collection[AllowedDomain], base_domains: Iterable[str]
) -> str:
    """Why a namespace may not claim a host; empty when it may.

    `is_meant` says whether a selector chooses that namespace. Without any entry in `allowed`
    everything is allowed but what belongs to the base domains.
    """
    name = host.lower().removeprefix(_WILDCARD)
    for base in sorted(base_domains):
        if name == base or name.endswith(f".{base}"):
            return f"{host} is under {base}, where APIs have their own hosts"
        if host.startswith(_WILDCARD) and base.endswith(f".{name}"):
            return f"{host} takes in {base}, where APIs have their own hosts"
    covering = [entry for entry in allowed if any(_covers(d, host) for d in entry.domains)]
    if allowed and not covering:
        return f"{host} is not among the allowedDomains of the class"
    selectors = [entry.namespace_selector for entry in covering]
    if not allowed or any(s is None or is_meant(s) for s in selectors):
        return ""
    return f"the allowedDomains of the class give {host} to other namespaces"


class DomainPlan(NamedTuple):
    """A DomainName that has hosts."""

    document: Document
    """Its manifest."""
    unit_id: str
    """Id of its unit."""
    hosts: tuple[str, ...]
    """Those that are its own, lower case, as written."""
    class_name: str
    """The PorticoClass whose data plane serves it; empty: files without any."""
    broken: str
    """Not empty: its hosts are refused, and why."""

    @property
    def spec(self) -> DomainNameSpec:
        """What is wanted; of an invalid one what could be read."""
        found: DomainNameSpec = self.document.content.spec
        return found


class DomainClaims(NamedTuple):
    """DomainNames that have hosts, and what became of other claims."""

    plans: dict[ObjectRef, DomainPlan]
    """By reference."""
    problems: tuple[Problem, ...]
    """Hosts that belong to others, unknown classes."""


def claim_domains(
    inventory: Inventory, ground: Ground, namespaces: Mapping[str, Labels] | None
) -> DomainClaims:
    """Gives every DomainName the hosts that it may have; elders first.

    One that is not valid keeps its hosts, so that nothing else answers in its place.
    """
    bases = {ground.settings.base_domain, *(c.base_domain for c in ground.by_class.values())}
    documents = [d for d in inventory.of_kind("DomainName") if isinstance(d.content, DomainName)]
    owners: dict[str, ObjectRef] = {}
    plans: dict[ObjectRef, DomainPlan] = {}
    problems: list[Problem] = []
    for document in sorted(documents, key=lambda d: d.age):
        ref = document.ref
        own = ground.of(class_of(document))
        if isinstance(own, str):
            problems.append(Problem(ref, "spec.className", Reason.REF_NOT_FOUND, own))
            continue
        is_meant = meaning(ref.namespace, namespaces)
        hosts: dict[str, None] = {}
        for position, host in enumerate(document.content.spec.domain_names):
            field = field_path("spec", "domainNames", position)
            why = refusal(host, is_meant, own.spec.allowed_domains, bases)
            if why:
                problems.append(Problem(ref, field, Reason.HOST_NOT_ALLOWED, why))
                continue
            owner = owners.setdefault(host.lower(), ref)
            if owner != ref:
                message = f"the host {host} belongs to {owner}, which is older"
                problems.append(Problem(ref, field, Reason.HOST_CONFLICT, message))
                continue
            hosts[host.lower()] = None
        if hosts:
            unit_id = f"domain/{ref.namespace}/{ref.name}"
            broken = own.broken or ("" if document.valid else f"{ref} is not valid")
            plans[ref] = DomainPlan(document, unit_id, tuple(hosts), own.name, broken)
    return DomainClaims(plans, tuple(problems))


def meaning(namespace: str, namespaces: Mapping[str, Labels] | None) -> IsMeant:
    """Whether a selector means that namespace; None: nobody knows any labels (files)."""
    if namespaces is None:
        return lambda _: True  # Files know no namespaces; the cluster will ask.
    labels = namespaces.get(namespace)
    if labels is None:
        return lambda _: False  # Even `DoesNotExist` must not hold of labels nobody has seen.
    return lambda selector: chooses(selector, labels)


def _covers(domain: str, host: str) -> bool:
    """`example.com` is itself; `*.example.com` everything below, wildcards included."""
    domain, host = domain.lower(), host.lower()
    if not domain.startswith(_WILDCARD):
        return domain == host
    return host.endswith(domain[1:])
