"""Which faults a scenario asks for by name, so that the record of a run says so.

Owns the events `fault_...` of the table of events. A fault that is none is not told.
"""

from __future__ import annotations

from collections.abc import Iterator

from sim.routes import routes_of
from sim.scenario import ROUTE_NAMES, Scenario


def named_faults(scenario: Scenario) -> Iterator[tuple[str, str]]:
    """Kind (`fault_...`) and detail of every fault that is on, those of `comms.outages` apart."""
    comms = scenario.comms
    bursty = [
        name
        for name, route in zip(ROUTE_NAMES, routes_of(comms), strict=True)
        if route.burst_every_ms and route.burst_for_ms and (route.burst_loss_up or route.burst_loss_down)
    ]
    if bursty:
        yield "fault_bursts", ", ".join(bursty)
    clocks = comms.clocks
    if clocks.skew_sd_ms:
        yield "fault_clock_skew", f"sd {clocks.skew_sd_ms} ms"
    if clocks.drift_ppm:
        yield "fault_clock_drift", f"{clocks.drift_ppm:g} ppm, set every {clocks.set_every_ms} ms"
    if clocks.jump_back_share:
        yield "fault_clock_jump", f"{clocks.jump_back_share:g} a day by {clocks.jump_back_ms} ms"
    if clocks.reset_share:
        yield "fault_clock_reset", f"{clocks.reset_share:g} a day"
    for outage in comms.outages:
        if outage.power:
            yield "fault_power_cut", f"{outage.name} on day {outage.day} for {outage.duration_ms} ms"
    if comms.split_brain is not None:
        split = comms.split_brain
        yield "fault_split_brain", f"for {split.duration_ms} ms, {split.lag_ms} ms behind"
