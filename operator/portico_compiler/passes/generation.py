"""Pass 5: Secrets of ApiKeys that are to be made, because a class has keys generated (AWS §7.1).

Asked by the pass of API keys where a Secret is missing. The compiler only says what is wanted; the
operator that leads makes it. Promises: nothing is wanted that exists, or in another namespace than
its ApiKey, or by a class that another operator serves.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from portico_compiler.inventory import Document
from portico_compiler.manifests import access as manifests
from portico_compiler.passes.apis import ApiPlan
from portico_compiler.passes.gateway import ClassGround, Ground
from portico_compiler.problems import ObjectRef
from portico_compiler.world import Settings
from portico_ir.access import Plan

ENTRY: Final = "value"
"""Of a Secret that is made, where `secretRef.key` names none."""
CHART_VALUE: Final = "operator.apiKeyGeneration"


class WantedSecret(NamedTuple):
    """A Secret that an ApiKey waits for."""

    api_key: ObjectRef
    """Its owner."""
    uid: str
    """The owner's."""
    name: str
    """Of the Secret, in the owner's namespace."""
    entry: str
    """Where the value goes."""


class Generation:
    """Which class has which keys made."""

    def __init__(
        self, apis: Mapping[ObjectRef, ApiPlan], ground: Ground, settings: Settings
    ) -> None:
        self._ground = ground
        self._settings = settings
        self._classes = {plan.document.object.uid: plan.class_name for plan in apis.values()}

    def wanted(self, document: Document, plans: Iterable[Plan]) -> tuple[WantedSecret | None, str]:
        """What is to be made for a key whose Secret is missing, and what to tell its owner."""
        ref = document.ref
        reference = document.content.spec.secret_ref
        class_name = self._class(plans)
        if not class_name:
            return None, ""
        having = f"PorticoClass {class_name} has keys generated"
        if self._settings.mode == "files":
            return (
                None,
                f"; {having}, but only in a cluster: here `portico keys create -o` makes one",
            )
        if reference.namespace not in (None, ref.namespace):
            return None, f"; {having}, but only in the namespace of the ApiKey"
        served = self._settings.classes
        if served and class_name not in served:
            return None, f"; {having}, so its operator makes it"
        if not self._settings.key_generation:
            return None, (
                f"; {having}, but the operator may not create Secrets: set {CHART_VALUE}=true"
                " in the chart, or make the Secret yourself"
            )
        assert isinstance(document.content, manifests.ApiKey)
        wanted = WantedSecret(ref, document.object.uid, reference.name, reference.key or ENTRY)
        return wanted, f" yet; {having}, so it is being made"

    def _class(self, plans: Iterable[Plan]) -> str:
        """The first that generates, of the classes whose stages the key opens; of a key that opens
        none, the default class."""
        names = {self._classes.get(s.api, "") for plan in plans for s in plan.stages}
        grounds: list[ClassGround | None] = [
            self._ground.by_class.get(name) for name in sorted(names)
        ]
        for ground in grounds or [self._ground.default]:
            if ground is not None and ground.spec.generate_api_keys:
                return ground.name
        return ""
