"""The profiles of the routes as data with sources, and their tables of latency.

Owns every number of the `realistic` profile; `perfect` is the absence of every fault. A scenario's own route
replaces the profile's whole. Tags: [src] read in the source, [mem] commonly quoted and unverified, assumed: a
guess.
"""

from __future__ import annotations

from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from protocol.messages import I32
from protocol.periods import DAY_MS, HOUR_MS, MINUTE_MS
from sim.scenario import ROUTE_NAMES, Comms, RandomOutages, Route

SECOND_MS = 1_000

LONGEST_LATENCY_MS = DAY_MS
"""The heavy tail is cut here [ms]: brokers drop what is older; assumed."""

REALISTIC = MappingProxyType({
    "evcp_4g": Route(
        latency_median_ms=400,  # 18 ms on air at best (Ofcom 2024) [src], plus broker and cloud; assumed
        latency_log_sd=0.5,  # assumed
        tail_share=0.01,  # assumed: paging, handover, broker retries
        tail_scale_ms=5 * SECOND_MS,
        tail_index=1.3,
        loss_down=0.028,  # mobile data access succeeds on 97.2 % of occasions (Ofcom 2024) [src]
        loss_up=0.028,
        duplicate=0.002,  # MQTT QoS 1 delivers at least once [mem]; share assumed
        offline_every_ms=21 * DAY_MS,  # with the next: 2 % offline at any time, the low end of 2-10 % [mem]
        offline_for_ms=10 * HOUR_MS,
        rate_per_s=500.0,  # assumed
        backfill_depth=120,  # OCPP queues what it could not send [mem]; two hours, assumed
        reconnect_spread_ms=5 * MINUTE_MS,  # assumed
        vendors=4,
        clock_skew_ms=2 * SECOND_MS,  # OCPP sets the clock at each heartbeat [mem]; assumed
    ),
    "evcp_wifi_cloud": Route(
        latency_median_ms=300,  # broadband round trip 10-25 ms [mem], plus broker and cloud; assumed
        latency_log_sd=0.6,
        tail_share=0.01,
        tail_scale_ms=5 * SECOND_MS,
        tail_index=1.3,
        loss_down=0.005,  # assumed
        loss_up=0.005,
        duplicate=0.002,
        offline_every_ms=14 * DAY_MS,  # drops every few weeks [mem]; with the next 4.5 % offline
        offline_for_ms=16 * HOUR_MS,
        rate_per_s=500.0,  # assumed
        backfill_depth=60,  # one hour, assumed
        reconnect_spread_ms=5 * MINUTE_MS,
        token_life_ms=HOUR_MS,  # the usual life of an OAuth access token [mem]
        token_renewal_ms=2 * SECOND_MS,
        vendors=6,
        clock_skew_ms=2 * SECOND_MS,
    ),
    "ev_telematics_cloud": Route(
        latency_median_ms=4 * SECOND_MS,  # vehicle 4G and the maker's cloud; assumed
        latency_log_sd=0.8,
        tail_share=0.03,
        tail_scale_ms=30 * SECOND_MS,
        tail_index=1.2,
        loss_down=0.02,  # assumed
        loss_up=0.028,  # mobile data access (Ofcom 2024) [src]
        duplicate=0.001,
        offline_every_ms=10 * DAY_MS,  # underground car parks and dead spots; 1.6 % offline, assumed
        offline_for_ms=4 * HOUR_MS,
        rate_per_s=250.0,  # Tesla: 5/s per partner [src]; a portfolio would agree more: assumed
        commands_per_day=50,  # Tesla: 50 commands a day per vehicle [src]
        backfill_depth=0,  # a cloud that is polled tells the present only
        reconnect_spread_ms=5 * MINUTE_MS,
        token_life_ms=8 * HOUR_MS,  # [mem]
        token_renewal_ms=5 * SECOND_MS,
        vendors=4,
    ),
    "smets_dcc": Route(
        latency_median_ms=6_500,  # half of the DCC round trip of about 13 s (CrowdFlex WP5 table 3) [src]
        latency_log_sd=0.3,
        tail_share=0.02,
        tail_scale_ms=30 * SECOND_MS,
        tail_index=1.2,
        loss_down=0.01,  # assumed
        loss_up=0.01,
        offline_every_ms=20 * DAY_MS,  # with the next: 5 %; 92-97 % of meters are read the next day [mem]
        offline_for_ms=25 * HOUR_MS,
        rate_per_s=500.0,
        backfill_depth=60,
        reconnect_spread_ms=10 * MINUTE_MS,
    ),
    "heat_pump_cloud": Route(
        latency_median_ms=3 * SECOND_MS,  # broadband 10-25 ms [mem], the maker's queue; assumed
        latency_log_sd=0.8,
        tail_share=0.02,
        tail_scale_ms=30 * SECOND_MS,
        tail_index=1.3,
        loss_down=0.01,  # assumed
        loss_up=0.01,
        duplicate=0.001,
        offline_every_ms=14 * DAY_MS,  # broadband drops every few weeks [mem]; with the next 3.5 % offline
        offline_for_ms=12 * HOUR_MS,
        rate_per_s=100.0,  # assumed
        commands_per_day=200,  # assumed: no maker publishes one
        backfill_depth=0,  # a cloud that is polled every 30-300 s [mem] tells the present only
        reconnect_spread_ms=5 * MINUTE_MS,
        token_life_ms=HOUR_MS,  # the usual life of an OAuth access token [mem]
        token_renewal_ms=2 * SECOND_MS,
        vendors=5,
    ),
    "inverter_cloud": Route(
        latency_median_ms=2 * SECOND_MS,  # assumed
        latency_log_sd=0.8,
        tail_share=0.03,  # rate-limited and late at scale (Nexwatt) [src]; shares assumed
        tail_scale_ms=60 * SECOND_MS,
        tail_index=1.2,
        loss_down=0.01,  # assumed
        loss_up=0.01,
        duplicate=0.001,
        offline_every_ms=14 * DAY_MS,  # as above
        offline_for_ms=12 * HOUR_MS,
        rate_per_s=50.0,  # Tesla: 5/s per partner [src]; a portfolio would agree more: assumed
        commands_per_day=96,  # Tesla: 5 settings a day per energy site [src]; one per 15 min agreed: assumed
        backfill_depth=0,
        reconnect_spread_ms=5 * MINUTE_MS,
        token_life_ms=8 * HOUR_MS,  # [mem]
        token_renewal_ms=5 * SECOND_MS,
        vendors=5,
    ),
    "heater_cloud": Route(
        latency_median_ms=2 * SECOND_MS,  # assumed
        latency_log_sd=0.7,
        tail_share=0.02,
        tail_scale_ms=20 * SECOND_MS,
        tail_index=1.3,
        loss_down=0.01,  # assumed
        loss_up=0.01,
        duplicate=0.001,
        offline_every_ms=14 * DAY_MS,  # as above
        offline_for_ms=12 * HOUR_MS,
        rate_per_s=200.0,  # assumed
        backfill_depth=0,
        reconnect_spread_ms=5 * MINUTE_MS,
        token_life_ms=HOUR_MS,
        token_renewal_ms=2 * SECOND_MS,
        vendors=4,
    ),
    "smart_plug_wifi": Route(
        latency_median_ms=300,  # as charge points on Wi-Fi; assumed
        latency_log_sd=0.6,
        tail_share=0.01,
        tail_scale_ms=5 * SECOND_MS,
        tail_index=1.3,
        loss_down=0.01,  # assumed: plugs sit where the signal is weaker
        loss_up=0.01,
        duplicate=0.002,  # MQTT QoS 1 delivers at least once [mem]; share assumed
        offline_every_ms=10 * DAY_MS,  # with the next 6 % offline, Wi-Fi being worse than 4G [mem]
        offline_for_ms=16 * HOUR_MS,
        rate_per_s=500.0,  # assumed
        backfill_depth=0,
        reconnect_spread_ms=5 * MINUTE_MS,
        vendors=6,
    ),
    "app_message": Route(
        latency_median_ms=3 * SECOND_MS,  # a push service and 4G; assumed. Reading it is the owner's affair
        latency_log_sd=1.0,
        tail_share=0.10,  # telephones asleep, or without signal; assumed
        tail_scale_ms=MINUTE_MS,
        tail_index=1.2,
        loss_down=0.028,  # mobile data access succeeds on 97.2 % of occasions (Ofcom 2024) [src]
        loss_up=0.028,
        offline_every_ms=4 * DAY_MS,  # switched off or out of reach, with the next 6 %; assumed
        offline_for_ms=6 * HOUR_MS,
        rate_per_s=1_000.0,  # assumed
        backfill_depth=0,
        reconnect_spread_ms=5 * MINUTE_MS,
        vendors=2,  # the push services of the two makers of telephone systems
    ),
})  # fmt: skip
"""Per route, what a British portfolio meets; every value a parameter with a wide plausible range."""

REALISTIC_OUTAGES = RandomOutages(
    vendor_cloud_every_ms=30 * DAY_MS,  # with the next: 99.9 % available, a common promise [mem]
    vendor_cloud_for_ms=45 * MINUTE_MS,
    isp_every_ms=60 * DAY_MS,  # assumed
    isp_for_ms=60 * MINUTE_MS,
    mobile_operator_every_ms=90 * DAY_MS,  # assumed
    mobile_operator_for_ms=60 * MINUTE_MS,
    region_every_ms=180 * DAY_MS,  # assumed
    region_for_ms=60 * MINUTE_MS,
)

USES_ISP = frozenset({
    "evcp_wifi_cloud", "heat_pump_cloud", "inverter_cloud", "heater_cloud", "smart_plug_wifi",
})  # fmt: skip
USES_MOBILE_OPERATOR = frozenset({"evcp_4g", "ev_telematics_cloud", "app_message"})
"""Wires that a route hangs on, besides its vendor's cloud and its region; DCC has wires of its own."""

ALWAYS_THERE = frozenset({"evcp_4g", "evcp_wifi_cloud", "ev_telematics_cloud", "smets_dcc"})
"""Routes of every portfolio: their clouds fail by chance whoever hangs on them, others' if somebody does."""

FINE = 4_096
FINEST = 256
"""Cells of the first two levels and of the last: together they resolve every 32-bit word."""


def routes_of(comms: Comms) -> tuple[Route, ...]:
    """The routes in the order of ROUTE_NAMES. Raises ValueError for the override of an unknown route."""
    strangers = sorted(set(comms.routes) - set(ROUTE_NAMES))
    if strangers:
        known = ", ".join(ROUTE_NAMES)
        raise ValueError(f"comms.routes names {strangers[0]!r}, which is no route; the routes are {known}")
    profile = REALISTIC if comms.profile == "realistic" else {}
    return tuple(comms.routes.get(name) or profile.get(name) or Route() for name in ROUTE_NAMES)


def random_outages_of(comms: Comms) -> RandomOutages:
    """How often shared domains fail by chance: the scenario's word, else the profile's."""
    if comms.random_outages is not None:
        return comms.random_outages
    return REALISTIC_OUTAGES if comms.profile == "realistic" else RandomOutages()


def latency_table(route: Route) -> I32:
    """Quantiles of a route's latency [ms] in three levels, shape (2 * FINE + FINEST,).

    A word's first 12 bits pick a cell of the first level; its last cell is refined by the next 12 bits, and
    the last cell of that by the last 8, so that the tail is drawn down to 2**-32. A cell holds the quantile
    of its middle.
    """
    share_above = np.concatenate([
        (FINE - np.arange(FINE) - 0.5) / 2.0**12,
        (FINE - np.arange(FINE) - 0.5) / 2.0**24,
        (FINEST - np.arange(FINEST) - 0.5) / 2.0**32,
    ])  # fmt: skip
    return np.minimum(np.rint(_latency_exceeded_by(route, share_above)), LONGEST_LATENCY_MS).astype(np.int32)


def _latency_exceeded_by(route: Route, share: NDArray[np.float64]) -> NDArray[np.float64]:
    """Latency [ms] that a share of messages exceeds: bisection, as the mixture has no closed form."""
    low = np.full(len(share), np.log(0.1))
    high = np.full(len(share), np.log(2.0 * LONGEST_LATENCY_MS))
    for _ in range(60):
        middle = 0.5 * (low + high)
        above = _share_above(route, middle) > share
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    return np.asarray(np.exp(high))


def _share_above(route: Route, log_latency: NDArray[np.float64]) -> NDArray[np.float64]:
    """Share of messages slower than exp(log_latency) [ms]: log-normal body, Pareto tail from its scale on."""
    median, log_sd = max(route.latency_median_ms, 0.1), max(route.latency_log_sd, 1e-9)
    body = ndtr((np.log(median) - log_latency) / log_sd)
    beyond = np.maximum(log_latency - np.log(max(route.tail_scale_ms, 0.1)), 0.0)
    mixed = (1.0 - route.tail_share) * body + route.tail_share * np.exp(-route.tail_index * beyond)
    return np.asarray(mixed, dtype=np.float64)
