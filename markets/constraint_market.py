"""The ESO's buying of thermal constraint relief at Grid Supply Points: CrowdFlex's TCM, and the LCM.

This owns where an action helps: a TCM award is checked against the network at the flows that all awards of
its time leave (`protocol.constraints.check_action`); all else is `markets/procurement.py`. The Local
Constraint Market buys GSP by GSP and checks nothing more. Hard cases: docs/markets.md L15-L17,
docs/rules.md R180-R183.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from markets.procurement import Event, Procurement, levels_mw
from markets.procurement_entry import NO_REASON
from markets.procurement_settings import Boundaries, ProcurementSettings
from markets.procurement_terms import CONSTRAINT_PRODUCTS
from markets.settings import F64
from protocol.constraints import Refusal, Verdict, beyond_mw, check_action, flows_mw
from protocol.messages import ServiceUnit
from protocol.products import Product

CONSTRAINT_MARKET = "constraint_market"

_WORDS = {
    Refusal.UNKNOWN_GSP: "{gsp} is no GSP of the network",
    Refusal.NOT_CONSTRAINED: "boundary {boundary} is within its limits",
    Refusal.WRONG_SIDE: "{gsp} is on the wrong side of boundary {boundary}: no effect",
    Refusal.WRONG_DIRECTION: "it drives boundary {boundary} further beyond its limit",
    Refusal.NEW_CONSTRAINT: "it makes a new constraint at boundary {boundary}",
    Refusal.WORSENS_CONSTRAINT: "it makes the constraint at boundary {boundary} worse",
}
_CLAUSE = "CrowdFlex WP5 2.2.1: right side of the constraint, no further and new constraints behind it"


class ConstraintMarket(Procurement):
    """The party `constraint_market`. `settings.sites` are GSPs. Raises SettingsError."""

    def __init__(self, settings: ProcurementSettings) -> None:
        super().__init__(CONSTRAINT_MARKET, CONSTRAINT_PRODUCTS, settings)

    def network_refusal(self, event: Event, unit: ServiceUnit, turn_down_mw: Sequence[float]) -> str:
        """Why an action does not relieve the event's boundary in every period, or harms another."""
        bounds = self.settings.boundaries
        if bounds is None or event.script.product is not Product.TCM:
            return NO_REASON
        changes_mw = np.array(self._changes_mw(event, bounds))
        for place, mw in enumerate(turn_down_mw):
            if mw:
                flow_mw = flows_mw(bounds.network, bounds.net_export_mw - changes_mw[:, place])
                verdict = check_action(
                    bounds.network, flow_mw, _target(event, bounds, flow_mw), unit.place, -mw
                )
                if not verdict.allowed:
                    return _told(verdict, unit.place)
        return NO_REASON

    def _changes_mw(self, event: Event, bounds: Boundaries) -> F64:
        """By how much awards change demand at every GSP in each period of an event [MW] (gsps, periods)."""
        changes_mw = np.zeros((len(bounds.network.gsps), event.script.period_count))
        for award in self.awards_meeting(event):
            place = self.state.units[(award.product, award.unit)].place
            if place in bounds.network.gsps:
                changes_mw[bounds.network.gsps.index(place)] -= levels_mw(award, event.script)
        return changes_mw


def _target(event: Event, bounds: Boundaries, flow_mw: F64) -> str:
    """The boundary that an event relieves: the one it names, else of those around its place the one furthest
    beyond a limit.
    """
    if event.script.boundary:
        return event.script.boundary
    net, gsp = bounds.network, event.script.place
    around = net.behind[:, net.gsps.index(gsp)] if gsp in net.gsps else np.zeros(len(flow_mw), np.bool_)
    beyond = np.where(around, np.abs(beyond_mw(net, flow_mw)), -1.0)
    return net.boundaries[int(np.argmax(beyond))]


def _told(verdict: Verdict, gsp: str) -> str:
    assert verdict.refusal is not None  # what is not allowed has its reason
    words = _WORDS[verdict.refusal].format(gsp=gsp, boundary=verdict.boundary)
    return f"{words} ({_CLAUSE})"
