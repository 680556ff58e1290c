"""Pass 4a: what every ApiDeployment holds, and what every Stage with a deploymentRef serves.

Called by `compiler.compile` and by the stages pass. Taking a deployment is the leader's business;
here it is found, checked, and said of each one what it waits for (design.md §3, Deployments).
Promises: a Stage serves exactly the revision of its deployment; while that is not there it serves
on what its status says it served, and where that is nothing it answers 500 and says why.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from portico_compiler.features.unbuilt import Effect
from portico_compiler.inventory import API_KINDS, Document, Inventory
from portico_compiler.manifests import stages
from portico_compiler.manifests.kinds import GROUP
from portico_compiler.memo import Memo
from portico_compiler.passes.accept import referred
from portico_compiler.passes.apis import ApiPlan
from portico_compiler.passes.attachment import attached
from portico_compiler.passes.revisions import Revision, Revisions
from portico_compiler.problems import ObjectRef, Problem, Reason
from portico_compiler.revisions.content import Frozen
from portico_compiler.revisions.packing import KIND, Head, own_name
from portico_compiler.world import CURRENT

REVISION_GROUP = "apps"
FIELD = "spec.deploymentRef"


class Pin(msgspec.Struct, frozen=True):
    """What a Stage with a deploymentRef serves; compares by value."""

    label: str = ""
    """Tells the state from others of its API; that of its ApiDeployment's name."""
    revision: str = ""
    """Name of the revision."""
    digest: str = ""
    """Of its content."""
    fault: str = ""
    """Not empty: there is nothing to serve, and why."""


class Taken(NamedTuple):
    """What an ApiDeployment holds."""

    revision: str
    """Name of the revision."""
    head: Head
    """What that says of itself."""
    own: bool
    """It is this ApiDeployment's own, and not yet only the one that it restores."""


class Untaken(NamedTuple):
    """An ApiDeployment that the leader has to take."""

    document: Document
    """The ApiDeployment."""
    api: ApiPlan
    """Its API."""
    restores: ObjectRef | None
    """The ControllerRevision to copy; None: the current state of the API."""


class _State(NamedTuple):
    """What became of an ApiDeployment."""

    source: ObjectRef | None = None
    """The ControllerRevision that holds its state."""
    fault: str = ""
    reason: Reason = Reason.REF_NOT_ACCEPTED
    """For Stages that name it."""


_OF_REVISIONS = (Reason.REVISION_BROKEN, Reason.ANOTHER_API)
_WAITING = _State(fault="is not taken yet")


class Deployments:
    """Every ApiDeployment of the World."""

    def __init__(
        self,
        inventory: Inventory,
        apis: dict[ObjectRef, ApiPlan],
        known_apis: frozenset[ObjectRef],
        memo: Memo,
    ) -> None:
        self._inventory = inventory
        self._apis = apis
        self._known = known_apis
        self.revisions = Revisions(inventory, memo)
        self.problems: list[Problem] = []
        """Of ApiDeployments and Stages."""
        self.taken: dict[ObjectRef, Taken] = {}
        """What ApiDeployments hold."""
        self.untaken: list[Untaken] = []
        """What the leader has to do."""
        self.named: set[tuple[str, str]] = set()
        """Namespace and name of every revision that somebody names, be it there or not."""
        self.unserved: dict[ObjectRef, str] = {}
        """Stages that do not serve what they name, and ApiDeployments that hold nothing; why."""
        self.pinned: dict[tuple[ObjectRef, str], Revision] = {}
        """By API and label: what its Stages serve."""
        self._uids = {
            document.ref: document.object.uid
            for kind in API_KINDS
            for document in inventory.of_kind(kind)
        }
        self._states: dict[ObjectRef, _State] = {}
        self._documents = {d.ref: d for d in inventory.of_kind("ApiDeployment")}
        for document in sorted(self._documents.values(), key=lambda d: d.ref):
            self._states[document.ref] = self._resolved(document)
        for stage in inventory.of_kind("Stage"):
            if stage.api is not None:
                self._name(stage, stage.api)

    # --- ApiDeployments -----------------------------------------------------------------

    def _resolved(self, document: Document) -> _State:
        ref, api = document.ref, document.api
        own = self._own(document)
        if api is None or not document.valid:
            return _State(fault="is not valid")
        if not attached(ref, api, self._inventory, self._apis, self._known, self.problems):
            return _State(fault=f"may not take part in {api}")
        plan = self._apis[api]
        spec: stages.ApiDeploymentSpec = document.content.spec
        if self.revisions.head(api.namespace, own) is not None:
            return self._taken(document, ObjectRef(KIND, api.namespace, own), own=True)
        if spec.revision_ref is not None:
            return self._restored(document, plan)
        taken = self.revisions.taken_for(ref, api)
        if any(head.deployment.uid == document.object.uid for _, head in taken):
            return self._refused(
                document,
                Reason.ANOTHER_API,
                f"what it holds was taken of an earlier {api}, which was deleted and made anew: "
                "make another ApiDeployment",
            )
        self.untaken.append(Untaken(document, plan, None))
        return _WAITING

    def _own(self, document: Document) -> str:
        """Name of its own revision. It is named, be its API served at this moment or not."""
        api = document.api
        if api is None:
            return ""
        if document.content.spec.revision_ref is not None:
            source = self._restored_from(document)
            self.named.add((source.namespace, source.name))
        own = own_name(document.ref, document.object.uid, self._uids.get(api, ""))
        self.named.add((api.namespace, own))
        return own

    def _restored_from(self, document: Document) -> ObjectRef:
        wanted = document.content.spec.revision_ref
        return referred(document.ref, KIND, wanted.namespace, wanted.name)

    def _restored(self, document: Document, plan: ApiPlan) -> _State:
        """What `revisionRef` names; the leader makes it the ApiDeployment's own."""
        ref, api = document.ref, plan.document.ref
        source = self._restored_from(document)
        field = "spec.revisionRef"
        if not self._inventory.permits(ref, REVISION_GROUP, source):
            message = f"no ReferenceGrant in {source.namespace} allows a reference to {source}"
            return self._refused(document, Reason.REF_NOT_PERMITTED, message, field)
        head = self.revisions.head(source.namespace, source.name)
        if head is None:
            message = f"there is no {source} with the label portico.dev/revision"
            return self._refused(document, Reason.REF_NOT_FOUND, message, field)
        if isinstance(head, Head):
            if (head.api.kind, head.api.name) != (api.kind, api.name):
                message = f"{source} is of {head.api.kind} {head.api.name}, not of {api}"
                return self._refused(document, Reason.ANOTHER_API, message, field)
            expected = digest_of(document.content.spec.expected_digest)
            if expected and expected != head.digest:
                message = f"{source} has the digest sha256:{head.digest}"
                wrong = Reason.INVALID_COMBINATION
                return self._refused(document, wrong, message, "spec.expectedDigest")
        state = self._taken(document, source, own=False)
        if state.source is not None:
            self.untaken.append(Untaken(document, plan, source))
        return state

    def _taken(self, document: Document, source: ObjectRef, *, own: bool) -> _State:
        head = self.revisions.head(source.namespace, source.name)
        fault = self.revisions.check(source.namespace, source.name)
        if fault or not isinstance(head, Head):
            return self._refused(document, Reason.REVISION_BROKEN, fault)
        self.taken[document.ref] = Taken(source.name, head, own)
        return _State(source)

    def _refused(self, document: Document, reason: Reason, message: str, field: str = "") -> _State:
        self.problems.append(Problem(document.ref, field, reason, message))
        self.unserved[document.ref] = message
        of_stage = reason if reason in _OF_REVISIONS else Reason.REF_NOT_ACCEPTED
        return _State(fault=f"holds nothing that can be served: {message}", reason=of_stage)

    def frozen(self, api: ObjectRef) -> dict[str, Frozen]:
        """The states of an API that its Stages serve, by label."""
        return {
            label: revision.frozen
            for (owner, label), revision in self.pinned.items()
            if owner == api
        }

    # --- Stages -------------------------------------------------------------------------

    def pin(self, stage: Document, plan: ApiPlan) -> Pin | None:
        """What a Stage serves that names a deployment; None: the current routes, for now."""
        api = plan.document.ref
        reference = stage.content.spec.deployment_ref
        ref = referred(stage.ref, "ApiDeployment", reference.namespace, reference.name)
        label = _label(ref, api)
        found, waiting = self._served(stage, ref, plan, label)
        if isinstance(found, Revision):
            return self._pinned(stage, api, label, found)
        # What is immutable may go on being served; the current routes only while the leader works.
        recorded = stage.object.recorded
        before = self._before(recorded, plan) if recorded not in ("", CURRENT) else None
        if before is not None:
            origin = before.head.deployment
            served = ObjectRef("ApiDeployment", origin.namespace or api.namespace, origin.name)
            self._say(stage, found, f"until then it still serves {served}")
            return self._pinned(stage, api, _label(served, api), before)
        if waiting and recorded == CURRENT:
            self._say(stage, found, "until then it still serves the current routes")
            return None
        self._say(stage, found, "it answers 500")
        return Pin(fault=found.message)

    def _served(
        self, stage: Document, ref: ObjectRef, plan: ApiPlan, label: str
    ) -> tuple[Revision | Problem, bool]:
        """The revision, or the Problem of there being none and whether the leader is at it."""
        api = plan.document.ref

        def wrong(reason: Reason, message: str) -> tuple[Problem, bool]:
            return Problem(stage.ref, FIELD, reason, message), False

        if not self._inventory.permits(stage.ref, GROUP, ref):
            message = f"no ReferenceGrant in {ref.namespace} allows a reference to {ref}"
            return wrong(Reason.REF_NOT_PERMITTED, message)
        document = self._documents.get(ref)
        if document is None:
            return self._of_deleted(stage, ref, plan, label)
        if document.api is not None and document.api != api:
            return wrong(Reason.ANOTHER_API, f"{ref} is of {document.api}, not of {api}")
        state = self._states[ref]
        if state.source is not None:
            revision = self.revisions.load(state.source.namespace, state.source.name, api, label)
            if isinstance(revision, str):
                return wrong(Reason.REVISION_BROKEN, f"{ref} cannot be served: {revision}")
            return revision, False
        problem, _ = wrong(state.reason, f"{ref} {state.fault}")
        return problem, state is _WAITING

    def _of_deleted(
        self, stage: Document, ref: ObjectRef, plan: ApiPlan, label: str
    ) -> tuple[Revision | Problem, bool]:
        api = plan.document.ref
        taken = self.revisions.taken_for(ref, api)
        own = [name for name, head in taken if head.api.uid == plan.document.object.uid]
        if not own:
            if taken:
                message = f"{ref} is deleted, and held a state of an earlier {api}, made anew since"
                return Problem(stage.ref, FIELD, Reason.ANOTHER_API, message), False
            return Problem(stage.ref, FIELD, Reason.REF_NOT_FOUND, f"there is no {ref}"), False
        # Recreated and deleted again, there may be several: the one it served, or the newest.
        name = stage.object.recorded if stage.object.recorded in own else own[0]
        revision = self.revisions.load(api.namespace, name, api, label)
        if isinstance(revision, str):
            message = f"{ref} is deleted, and what it held cannot be served: {revision}"
            return Problem(stage.ref, FIELD, Reason.REVISION_BROKEN, message), False
        message = f"{ref} is deleted; the stage serves on what it held until it names another one"
        self.problems.append(Problem(stage.ref, FIELD, Reason.DEPLOYMENT_DELETED, message))
        return revision, False

    def _before(self, name: str, plan: ApiPlan) -> Revision | None:
        """The revision that the Stage served before, when it can be served."""
        api = plan.document.ref
        head = self.revisions.head(api.namespace, name)
        if not isinstance(head, Head) or head.api.uid != plan.document.object.uid:
            return None
        origin = head.deployment
        served = ObjectRef("ApiDeployment", origin.namespace or api.namespace, origin.name)
        loaded = self.revisions.load(api.namespace, name, api, _label(served, api))
        return loaded if isinstance(loaded, Revision) else None

    def _pinned(self, stage: Document, api: ObjectRef, label: str, revision: Revision) -> Pin:
        held = revision.frozen.api
        unbuilt = [field.field for field in held.unbuilt if field.effect is Effect.RESTRICTS]
        if not held.valid or unbuilt:
            faults = [f"{problem.field}: {problem.message}" for problem in held.problems]
            message = f"{held.ref} cannot be served: {'; '.join(faults[:3])}"
            reason = Reason.REVISION_BROKEN if not held.valid else Reason.NOT_IMPLEMENTED
            self._say(stage, Problem(stage.ref, FIELD, reason, message), "it answers 500")
            return Pin(fault=message)
        taken = self.pinned.setdefault((api, label), revision)
        if taken[:2] != revision[:2]:
            # Two states under one name: an ApiDeployment that was made anew is being taken.
            label = f"{label}+{revision.head.digest[:8]}"
            loaded = self.revisions.load(*revision[:2], api, label)
            assert isinstance(loaded, Revision)  # It could be loaded under the other label.
            self.pinned[api, label] = loaded
        return Pin(label, revision.name, revision.head.digest)

    def _name(self, stage: Document, api: ObjectRef) -> None:
        """Nobody deletes what a Stage names or serves."""
        spec: stages.StageSpec = stage.content.spec
        canary = spec.canary_settings
        for wanted in (spec.deployment_ref, canary.deployment_ref if canary else None):
            if wanted is None:
                continue
            ref = referred(stage.ref, "ApiDeployment", wanted.namespace, wanted.name)
            for name, _ in self.revisions.taken_for(ref, api):
                self.named.add((api.namespace, name))
        if stage.object.recorded not in ("", CURRENT):
            self.named.add((api.namespace, stage.object.recorded))

    def _say(self, stage: Document, problem: Problem, consequence: str) -> None:
        message = f"{problem.message}; {consequence}"
        self.problems.append(problem._replace(message=message))
        self.unserved[stage.ref] = message


def digest_of(text: str | None) -> str:
    """A digest as users may write it, in hex; empty when there is none."""
    return (text or "").removeprefix("sha256:")


def _label(deployment: ObjectRef, api: ObjectRef) -> str:
    if deployment.namespace == api.namespace:
        return deployment.name
    return f"{deployment.namespace}~{deployment.name}"
