"""Where an action helps: a small network of boundaries with limits, and the check of an action at a Grid
Supply Point.

A boundary encloses GSPs; its flow is the sum of their net exports, positive outwards, and has a limit
either way. What an action adds or takes is balanced outside of all boundaries (a transport model, ours).
Source of the two checks: CrowdFlex WP5 section 2.2.1: an action must be on the right side of the
constraint, and turning demand up behind an export constraint must not cause further and new constraints
behind it. Hard cases: docs/rules.md R180-R183.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

_GRAIN_MW = 1e-9
"""The grain of adding up floats."""

Column = NDArray[np.float64]


class NetworkError(ValueError):
    """A boundary or a column that does not fit the network."""


class Refusal(StrEnum):
    """Why an action is refused."""

    UNKNOWN_GSP = "unknown_gsp"  # the network has no such Grid Supply Point
    NOT_CONSTRAINED = "not_constrained"  # the boundary is within its limits
    WRONG_SIDE = "wrong_side"  # the GSP is not behind the boundary: no effect
    WRONG_DIRECTION = "wrong_direction"  # it drives the boundary further beyond its limit
    NEW_CONSTRAINT = "new_constraint"  # it drives a boundary beyond a limit that held
    WORSENS_CONSTRAINT = "worsens_constraint"  # it drives another boundary further beyond its limit
    NOT_NEEDED = "not_needed"  # cheaper actions relieve the boundary


@dataclass(frozen=True, slots=True, eq=False)
class Network:
    """GSPs and boundaries; `behind` (boundaries, gsps) says which GSP each encloses; limits [MW]
    (boundaries) >= 0.
    """

    gsps: tuple[str, ...]
    boundaries: tuple[str, ...]
    behind: NDArray[np.bool_]
    export_limit_mw: Column
    import_limit_mw: Column

    def boundary(self, name: str) -> int:
        """The place of a boundary. Raises NetworkError for one that there is not."""
        if name not in self.boundaries:
            raise NetworkError(f"there is no boundary {name!r}; there are {', '.join(self.boundaries)}")
        return self.boundaries.index(name)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether an action may be called, and if not why and at which boundary; `relief_mw` is at the target."""

    allowed: bool
    refusal: Refusal | None
    boundary: str
    relief_mw: float


def network(boundaries: Mapping[str, tuple[Sequence[str], float, float]], gsps: Sequence[str]) -> Network:
    """A network from {boundary: (GSPs behind it, export limit [MW], import limit [MW])} and all GSPs.

    Raises NetworkError for a boundary around a GSP that is not among them, or a limit below nothing.
    """
    for name, (inside, export_mw, import_mw) in boundaries.items():
        if unknown := set(inside) - set(gsps):
            raise NetworkError(f"boundary {name} encloses {', '.join(sorted(unknown))}, not among the GSPs")
        if min(export_mw, import_mw) < 0:
            raise NetworkError(f"boundary {name} has a limit below nothing")
    rows = list(boundaries.values())
    behind = np.array([[gsp in inside for gsp in gsps] for inside, _, _ in rows], np.bool_)
    limits = np.array([row[1:] for row in rows], np.float64).reshape(len(rows), 2)
    return Network(tuple(gsps), tuple(boundaries), behind, limits[:, 0], limits[:, 1])


def flows_mw(net: Network, net_export_mw: Column) -> Column:
    """Flow over each boundary [MW, outwards +] (boundaries), or (boundaries, periods), from the GSPs' net
    exports.
    """
    return np.asarray(net.behind.astype(np.float64) @ net_export_mw)


def beyond_mw(net: Network, flow_mw: Column) -> Column:
    """How far each boundary is beyond its limits [MW] (boundaries): > 0 outwards, < 0 inwards, else 0."""
    return np.maximum(flow_mw - net.export_limit_mw, 0.0) + np.minimum(flow_mw + net.import_limit_mw, 0.0)


def effect_mw(net: Network, gsp: str, demand_change_mw: float) -> Column:
    """What a change of demand at a GSP adds to each boundary's flow [MW, outwards +] (boundaries).

    Turning up (positive) behind a boundary takes as much off its outward flow; in front of it, nothing.
    Raises NetworkError for a GSP that there is not.
    """
    if gsp not in net.gsps:
        raise NetworkError(f"there is no GSP {gsp!r}; there are {', '.join(net.gsps)}")
    return -demand_change_mw * net.behind[:, net.gsps.index(gsp)].astype(np.float64)


def check_action(net: Network, flow_mw: Column, target: str, gsp: str, demand_change_mw: float) -> Verdict:
    """Whether a change of demand at a GSP relieves the target boundary and harms none, at the flows given.

    Checked in this order: the GSP is known, the target is beyond a limit, the GSP is behind it, the flow
    moves the right way, no boundary that held its limits breaks one (the target's other limit too), no
    broken one gets worse. Raises NetworkError for an unknown boundary.
    """
    place = net.boundary(target)
    before = beyond_mw(net, flow_mw)
    if gsp not in net.gsps:
        return Verdict(False, Refusal.UNKNOWN_GSP, target, 0.0)
    if abs(before[place]) <= _GRAIN_MW:
        return Verdict(False, Refusal.NOT_CONSTRAINED, target, 0.0)
    moved = effect_mw(net, gsp, demand_change_mw)
    if not net.behind[place, net.gsps.index(gsp)]:
        return Verdict(False, Refusal.WRONG_SIDE, target, 0.0)
    if moved[place] * before[place] >= 0:
        return Verdict(False, Refusal.WRONG_DIRECTION, target, 0.0)
    after = beyond_mw(net, flow_mw + moved)
    broken = (np.abs(after) > _GRAIN_MW) & (after * before <= 0)
    worse = np.abs(after) > np.abs(before) + _GRAIN_MW
    for harmed, refusal in ((broken, Refusal.NEW_CONSTRAINT), (worse, Refusal.WORSENS_CONSTRAINT)):
        if harmed.any():
            return Verdict(False, refusal, net.boundaries[int(np.flatnonzero(harmed)[0])], 0.0)
    return Verdict(True, None, target, float(abs(before[place]) - abs(after[place])))


def relieve(
    net: Network,
    flow_mw: Column,
    target: str,
    gsps: Sequence[str],
    demand_change_mw: Column,
    price_gbp_per_mwh: Column,
) -> tuple[tuple[Verdict, ...], Column]:
    """Whole actions called cheapest first until the target is within its limits: verdicts (n), and the
    flows left.

    Each action is checked at the flows that the ones before it leave, so two that are harmless alone may
    not both be called. At one price the first given comes first.
    """
    place = net.boundary(target)
    flow = np.asarray(flow_mw, np.float64).copy()
    constrained = abs(beyond_mw(net, flow)[place]) > _GRAIN_MW
    verdicts = [Verdict(False, Refusal.NOT_NEEDED, target, 0.0)] * len(gsps)
    for row in map(int, np.argsort(price_gbp_per_mwh, kind="stable")):
        if constrained and abs(beyond_mw(net, flow)[place]) <= _GRAIN_MW:
            continue
        verdicts[row] = check_action(net, flow, target, gsps[row], float(demand_change_mw[row]))
        if verdicts[row].allowed:
            flow += effect_mw(net, gsps[row], float(demand_change_mw[row]))
    return tuple(verdicts), flow
