"""Pass 2: the PorticoClass that counts, and what it says for the whole data plane.

Called by `compiler.compile`. Promises: always a usable answer; a class that cannot be used
leaves the settings as they are.
"""

from __future__ import annotations

from typing import NamedTuple

from portico_compiler.features import unbuilt
from portico_compiler.inventory import Document, Inventory
from portico_compiler.manifests import classes
from portico_compiler.problems import ObjectRef, Problem, Reason
from portico_compiler.rules.apis import template_fault
from portico_compiler.world import DEFAULT_ADDRESS_TEMPLATE, Settings
from portico_ir.model import GatewayUnit

SETTINGS = ObjectRef("Settings", "", "")
"""Stands for the command line or chart values where they are at fault."""


class Ground(NamedTuple):
    """What every API stands on."""

    unit: GatewayUnit
    """Without `sole_api`, which depends on the APIs."""
    base_domain: str
    """Parent of default endpoints' hosts."""
    address_template: str
    """Checked."""
    classes: frozenset[str] | None
    """Names of PorticoClasses; None: files without any, where the settings stand for all."""
    broken: str
    """Not empty: every API fails closed, and why."""
    problems: tuple[Problem, ...]
    """About classes and settings."""


def ground(inventory: Inventory, settings: Settings) -> Ground:
    """Settings, with what the default PorticoClass overrides."""
    problems: list[Problem] = []
    chosen = _default_class(inventory.of_kind("PorticoClass"), problems)
    spec = classes.PorticoClassSpec()
    broken = ""
    if chosen is not None and chosen.valid:
        spec = chosen.content.spec
    if chosen is not None:
        restricting = [f.field for f in chosen.unbuilt if f.effect is unbuilt.Effect.RESTRICTS]
        if restricting:
            broken = f"PorticoClass {chosen.ref.name}: {', '.join(restricting)} is not built yet"
    unit = GatewayUnit(
        account_id=spec.account_id or settings.account_id,
        region=spec.region or settings.region,
        trusted_proxies=spec.trusted_proxies or settings.trusted_proxies,
        egress_allow=(spec.egress.allow if spec.egress else ()) or settings.egress_allow,
        egress_open=settings.egress_open,
        local_paths=settings.local_paths,
    )
    # design.md §2: in files the base domain is localhost unless the command line says otherwise.
    base_domain = settings.base_domain
    if settings.mode == "cluster" and spec.base_domain:
        base_domain = spec.base_domain
    names = frozenset(d.ref.name for d in inventory.of_kind("PorticoClass"))
    return Ground(
        unit=unit,
        base_domain=base_domain.lower(),
        address_template=spec.address_template or _template(settings, problems),
        classes=names if names or settings.mode == "cluster" else None,
        broken=broken,
        problems=tuple(problems),
    )


def _default_class(found: list[Document], problems: list[Problem]) -> Document | None:
    """The eldest class that says it is the default; or the only one there is."""
    defaults = sorted(
        (d for d in found if isinstance(d.content, classes.PorticoClass) and _is_default(d)),
        key=lambda document: document.age,
    )
    for loser in defaults[1:]:
        message = f"PorticoClass {defaults[0].ref.name} is older and already the default"
        problems.append(Problem(loser.ref, "spec.default", Reason.CONFLICTED, message))
    if defaults:
        return defaults[0]
    return found[0] if len(found) == 1 else None


def _is_default(document: Document) -> bool:
    return bool(document.content.spec.default)


def _template(settings: Settings, problems: list[Problem]) -> str:
    fault = template_fault(settings.address_template)
    if not fault:
        return settings.address_template
    problems.append(Problem(SETTINGS, "addressTemplate", Reason.INVALID_VALUE, fault))
    return DEFAULT_ADDRESS_TEMPLATE
