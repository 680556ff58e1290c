"""Documents and faults of one text are numbered together."""

from __future__ import annotations

from portico_cli.readings import Document, Fault, Reading


def test_numbers_go_on_after_documents_and_faults() -> None:
    reading = Reading([], [])
    assert reading.next_number() == 0
    reading.documents.append(Document({}, 1, 0))
    assert reading.next_number() == 1
    reading.faults.append(Fault(3, "", "", syntax=True, number=1))
    assert reading.next_number() == 2
    reading.documents.append(Document({}, 5, 2))
    assert reading.next_number() == 3
