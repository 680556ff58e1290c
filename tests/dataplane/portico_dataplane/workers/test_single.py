"""The admin port's view of a gateway without workers."""

from __future__ import annotations

from collections.abc import Callable

from portico_dataplane.telemetry.access_log import BatchedLines
from portico_dataplane.telemetry.meters import StageMeters
from portico_dataplane.workers.single import SingleProcess
from snapshots import endpoints_of, snapshot_of


def single(
    meters: StageMeters | None = None, flush: Callable[[str], object] | None = None
) -> SingleProcess:
    return SingleProcess(
        lambda: {"in_flight": 2.0, "client_connections": 1.0, "config_timestamp": 7.0},
        meters or StageMeters(),
        BatchedLines(lambda text, lines: 0),
        flush or (lambda authorizer: 0),
    )


async def test_ready_from_the_first_configuration_until_it_drains() -> None:
    source = single()
    assert source.unready() == "no configuration serves yet"
    source.applied(snapshot_of({}), "digest", {})
    assert source.unready() == ""
    source.draining()
    assert source.unready() == "draining"


async def test_shows_what_the_engine_counts() -> None:
    meters = StageMeters()
    meters.meter("n", "a", "rest", "s", "").record(200, 1, 1, 1)
    source = single(meters)
    source.start()
    source.applied(snapshot_of({}), "digest", {"api/x": "why"})
    source.reload_failed()
    scrape = await source.scrape()
    source.stop()

    assert scrape.series == meters.snapshot()
    assert scrape.gauges["requests_in_flight"] == 2
    assert scrape.gauges["workers_ready"] == 1
    assert "config_timestamp" not in scrape.gauges
    assert scrape.config.digests == ("digest",)
    assert scrape.config.refused_units == 1
    assert scrape.config.loaded_at > 0
    assert scrape.counters["config_reloads"] == scrape.counters["config_reload_failures"] == 1
    assert scrape.processes["worker-0"].cpu_seconds > 0


async def test_config_has_the_newest_endpoints() -> None:
    source = single()
    source.endpoints(endpoints_of("too/early:80"))
    assert source.config().snapshot is None
    source.applied(snapshot_of({}), "digest", {})
    source.endpoints(endpoints_of("default/pets:80", sequence=2))

    view = source.config()
    assert view.snapshot is not None
    assert view.snapshot.endpoints.sequence == 2
    assert view.workers[0].digest == view.digest == "digest"


def test_answers_are_forgotten() -> None:
    flushed: list[str] = []
    single(flush=flushed.append).flush("default/auth")
    assert flushed == ["default/auth"]
