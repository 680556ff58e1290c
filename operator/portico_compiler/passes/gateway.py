"""Pass 2: the PorticoClasses, and what each says for its whole data plane.

Called by `compiler.compile`. Promises: always a usable answer; a class that cannot be used
leaves the settings as they are; an object that names no class, or one that is not there, stands on
nothing and is told why.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from portico_compiler.features.buckets import bucket
from portico_compiler.inventory import Document, Inventory
from portico_compiler.manifests import classes
from portico_compiler.problems import ObjectRef, Problem, Reason
from portico_compiler.rules.apis import template_fault
from portico_compiler.world import DEFAULT_ADDRESS_TEMPLATE, Settings
from portico_ir.model import GatewayUnit

SETTINGS = ObjectRef("Settings", "", "")
"""Stands for the command line or chart values where they are at fault."""
_SHOWN = 5


class ClassGround(NamedTuple):
    """What every API of one class stands on."""

    name: str
    """Name of the PorticoClass; empty: the settings alone."""
    unit: GatewayUnit
    """Without `sole_api`, which depends on the APIs."""
    base_domain: str
    """Parent of default endpoints' hosts."""
    address_template: str
    """Checked."""
    broken: str = ""
    """Not empty: every API fails closed, and why."""
    spec: classes.PorticoClassSpec = classes.PorticoClassSpec()
    """What the class says beside; the defaults where it says nothing or cannot be used."""


class Ground(NamedTuple):
    """What every API stands on."""

    settings: ClassGround
    """What holds where there is no class."""
    by_class: Mapping[str, ClassGround]
    """Every PorticoClass, by name."""
    default: ClassGround | None
    """Takes what names no class; None: nobody does."""
    named: bool
    """Names of classes count. Files without any class have one data plane, whatever they name."""
    problems: tuple[Problem, ...]
    """About classes and settings."""

    def of(self, class_name: str | None) -> ClassGround | str:
        """What an object stands on that says this of its class; or why it stands on nothing."""
        if class_name is None or not self.named:
            return self.default or (
                "there is no default PorticoClass: say spec.className, or make one the default"
            )
        return self.by_class.get(class_name) or self._unknown(class_name)

    def for_data_plane(self, class_name: str) -> ClassGround:
        """What a data plane gets that serves this class, be there such a class or not."""
        if not class_name:
            return self.default or self.settings
        return self.by_class.get(class_name) or self.settings

    def _unknown(self, class_name: str) -> str:
        names = sorted(self.by_class)
        rest = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        known = f"; there is {', '.join(names[:_SHOWN])}{rest}" if names else ""
        return f"there is no PorticoClass {class_name!r}{known}"


def ground(inventory: Inventory, settings: Settings) -> Ground:
    """Settings, and for each class what it overrides of them."""
    problems: list[Problem] = []
    bare = ClassGround(
        name="",
        unit=GatewayUnit(
            account_id=settings.account_id,
            region=settings.region,
            trusted_proxies=settings.trusted_proxies,
            egress_allow=settings.egress_allow,
            egress_open=settings.egress_open,
            local_paths=settings.local_paths,
            https_port=settings.tls_port or 443,
        ),
        base_domain=settings.base_domain.lower(),
        address_template=_template(settings, problems),
    )
    found = inventory.of_kind("PorticoClass")
    in_cluster = settings.mode == "cluster"
    by_class = {d.ref.name: _of_class(d, bare, in_cluster) for d in found}
    chosen = _default_class(found, problems, in_cluster)
    default = by_class[chosen] if chosen else None
    return Ground(
        settings=bare,
        by_class=by_class,
        default=default or (None if in_cluster else bare),
        named=bool(found) or in_cluster,
        problems=tuple(problems),
    )


def _of_class(document: Document, bare: ClassGround, in_cluster: bool) -> ClassGround:
    spec = document.content.spec if document.valid else classes.PorticoClassSpec()
    broken = ""
    if not document.valid and _throttles(document.object.body):
        # What else is wrong with it must not let through what it means to stop.
        broken = f"PorticoClass {document.ref.name} is not valid, and has spec.accountThrottle"
    own = bare.unit
    unit = GatewayUnit(
        account_id=spec.account_id or own.account_id,
        region=spec.region or own.region,
        trusted_proxies=spec.trusted_proxies or own.trusted_proxies,
        egress_allow=(spec.egress.allow if spec.egress else ()) or own.egress_allow,
        egress_open=own.egress_open,
        local_paths=own.local_paths,
        account_throttle=bucket(spec.account_throttle),
        https_port=own.https_port,
    )
    # design.md §2: in files the base domain is localhost unless the command line says otherwise.
    base_domain = (spec.base_domain or "") if in_cluster else ""
    return ClassGround(
        name=document.ref.name,
        unit=unit,
        base_domain=base_domain.lower() or bare.base_domain,
        address_template=spec.address_template or bare.address_template,
        broken=broken,
        spec=spec,
    )


def _throttles(body: Mapping[str, Any]) -> bool:
    spec = body.get("spec")
    return isinstance(spec, Mapping) and bool(spec.get("accountThrottle"))


def _default_class(found: list[Document], problems: list[Problem], in_cluster: bool) -> str:
    """The eldest class that says it is the default; in files, the only one there is."""
    defaults = sorted(
        (d for d in found if isinstance(d.content, classes.PorticoClass) and _is_default(d)),
        key=lambda document: document.age,
    )
    for loser in defaults[1:]:
        message = f"PorticoClass {defaults[0].ref.name} is older and already the default"
        problems.append(Problem(loser.ref, "spec.default", Reason.CONFLICTED, message))
    if defaults:
        return defaults[0].ref.name
    return found[0].ref.name if len(found) == 1 and not in_cluster else ""


def _is_default(document: Document) -> bool:
    return bool(document.content.spec.default)


def _template(settings: Settings, problems: list[Problem]) -> str:
    fault = template_fault(settings.address_template)
    if not fault:
        return settings.address_template
    problems.append(Problem(SETTINGS, "addressTemplate", Reason.INVALID_VALUE, fault))
    return DEFAULT_ADDRESS_TEMPLATE
