"""Who may claim which hosts of their own: baseDomain, allowedDomains, and the elder among equals.

Called by `compiler.compile` for the conditions of DomainNames; what serves them will read the same
decision. Promises: no host of a platform's own domain and none outside what its class allows is
ever claimed; of two DomainNames with one host the elder has it, whatever their classes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping

from portico_compiler.inventory import Inventory
from portico_compiler.manifests.classes import AllowedDomain
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
    covering = [entry for entry in allowed if any(_covers(d, host) for d in entry.domains)]
    if allowed and not covering:
        return f"{host} is not among the allowedDomains of the class"
    selectors = [entry.namespace_selector for entry in covering]
    if not allowed or any(s is None or is_meant(s) for s in selectors):
        return ""
    return f"the allowedDomains of the class give {host} to other namespaces"


def claim_domains(
    inventory: Inventory, ground: Ground, namespaces: Mapping[str, Labels] | None
) -> tuple[Problem, ...]:
    """What is wrong with the hosts that DomainNames ask for."""
    bases = {ground.settings.base_domain, *(c.base_domain for c in ground.by_class.values())}
    documents = [d for d in inventory.of_kind("DomainName") if d.valid]
    owners: dict[str, ObjectRef] = {}
    problems: list[Problem] = []
    for document in sorted(documents, key=lambda d: d.age):
        ref = document.ref
        own = ground.of(class_of(document))
        if isinstance(own, str):
            problems.append(Problem(ref, "spec.className", Reason.REF_NOT_FOUND, own))
            continue
        is_meant = _asker(ref.namespace, namespaces)
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
    return tuple(problems)


def _asker(namespace: str, namespaces: Mapping[str, Labels] | None) -> IsMeant:
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
