"""What markets are told of a scenario's events and notices. Light to import: `validate` needs it."""

from __future__ import annotations

from datetime import timedelta

from markets.capacity_settings import CapacityNoticeScript
from markets.settings import DfsEventScript, RulesInForce
from protocol import periods
from sim.scenario import DfsEvent, Scenario
from sim.scenario_services import CapacityNotice


def clock_ms(scenario: Scenario, day: int, minute: int) -> int:
    """A clock time (minutes after local midnight, 1440 for its end) on a day of the run [UTC ms]."""
    whole, minute = divmod(minute, 1440)
    return periods.local_clock_ms(scenario.clock.start + timedelta(days=day + whole), *divmod(minute, 60))


def rules_for(scenario: Scenario) -> RulesInForce:
    """Which rules hold, and which single ones are overridden."""
    overrides = tuple(
        (book, rule, value)
        for book, rules in sorted(scenario.markets.rules.items())
        for rule, value in sorted(rules.items())
    )
    return RulesInForce(scenario.markets.rules_date, overrides, scenario.markets.derogations)


def dfs_script(scenario: Scenario, number: int, event: DfsEvent) -> DfsEventScript:
    """What the market is told of one event. Raises LocalTimeError or SettingsError where it cannot be."""

    def moment(minute: int | None) -> int | None:
        return None if minute is None else clock_ms(scenario, event.day, minute)

    return DfsEventScript(
        event_id=f"E{number:03d}",
        start_ms=clock_ms(scenario, event.day, event.start),
        end_ms=clock_ms(scenario, event.day, event.end),
        turn_down_mw=event.turn_down_mw,
        guaranteed_price_gbp_per_mwh=event.guaranteed_price_gbp_per_mwh,
        test=event.test,
        published_ms=moment(event.published),
        cancelled_ms=moment(event.cancelled),
        zones=event.zones,
        zonal_caps_mw=tuple(sorted(event.zonal_caps_mw.items())),
    )


def capacity_script(scenario: Scenario, number: int, notice: CapacityNotice) -> CapacityNoticeScript:
    """What the market is told of one notice. Raises LocalTimeError, RuleError or SettingsError where it
    cannot be.
    """
    start_ms = clock_ms(scenario, notice.day, notice.start)
    rules = rules_for(scenario).book("capacity_market", periods.local_date(start_ms))
    in_time_ms = start_ms - rules.value("notice_min") * periods.MINUTE_MS
    issued, withdrawn = notice.issued, notice.withdrawn
    return CapacityNoticeScript(
        notice_id=f"CMN{number:03d}",
        issued_ms=in_time_ms if issued is None else clock_ms(scenario, notice.day, issued),
        start_ms=start_ms,
        end_ms=clock_ms(scenario, notice.day, notice.end),
        load_following_share=notice.load_following_share,
        stressed=notice.stressed,
        withdrawn_ms=None if withdrawn is None else clock_ms(scenario, notice.day, withdrawn),
    )
