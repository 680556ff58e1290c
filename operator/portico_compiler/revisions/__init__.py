"""Revisions: the state of an API that an ApiDeployment holds, as bytes and as ControllerRevisions.

`canonical` says what a document means in one form, `content` gathers documents into bytes with a
digest and reads them back, `packing` spreads the bytes over ControllerRevisions and puts them
together again. Used by the compiler's deployments pass, by the operator's captures and by
`portico deploy` and `portico digest`: one code, so one digest.
"""
