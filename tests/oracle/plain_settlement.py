"""The oracle: settlement worked out slowly and plainly, from the written rules alone.

Nothing of ours is imported here. Every quantity is a ``Fraction`` (a ratio of whole numbers), every sum a
loop, every rule a few lines in the order in which the rule book tells it. It was written before the fast
code of the same rules was read, so that a misreading made there is not made here again. It is no model of
good speed.

Seam: none. ``test_oracle.py`` holds the fast code against it.

Words and signs. Minutes count from the start of the Settlement Period. Power is MW and energy MWh, export
+, at the level of a BM Unit; a meter's volume is import +. Money is GBP, + is paid to the party unless the
rule says otherwise. Sources: BSC Section T3 (as confirmed against the published stack), BSC Section T
Simple Guide v37.0 for the signs, DFS Procurement Rules v1 Schedule 3 and v5.0 (BL01 and the payment
curve), P376 and P415.
"""

from datetime import timedelta
from fractions import Fraction
from itertools import pairwise

SATURDAY = 5
HALF_HOUR_MINUTES = 30
MINUTES_PER_HOUR = 60


# --- Balancing Mechanism: accepted volumes
# ------------------------------------------------------------------------


def level_mw(segments, minute):
    """Level [MW] of a piecewise linear profile at a minute inside it; None where no segment covers the
    minute.

    Args:
        segments: (from_minute, from_mw, to_minute, to_mw), each linear.
    """
    for from_minute, from_mw, to_minute, to_mw in segments:
        if from_minute < minute < to_minute:
            share = Fraction(minute - from_minute) / Fraction(to_minute - from_minute)
            return from_mw + share * (to_mw - from_mw)
    return None


def ends_of(segments, start, end):
    """Levels [MW] just after ``start`` and just before ``end``; None where the profile does not cover the
    interval.
    """
    middle = Fraction(start + end) / 2
    at_middle = level_mw(segments, middle)
    if at_middle is None:
        return None
    quarter = level_mw(segments, Fraction(start + middle) / 2)
    half_rise = 2 * (at_middle - quarter)
    return at_middle - half_rise, at_middle + half_rise


def band_of(pair, widths_mw):
    """Lowest and highest deviation from the FPN [MW] of a bid-offer pair: +1 is [0, w1], -2 is [-w1-w2,
    -w1].
    """
    step = 1 if pair > 0 else -1
    inner = Fraction(0)
    for number in range(step, pair, step):
        inner = inner + widths_mw.get(number, 0)
    outer = inner + widths_mw[pair]
    return (inner, outer) if pair > 0 else (-outer, -inner)


def clamp(value, low, high):
    """The value held within [low, high]."""
    if value < low:
        return low
    if value > high:
        return high
    return value


def meeting_points(before, after, target):
    """Shares of an interval at which a straight line from ``before`` to ``after`` meets ``target``."""
    if before == after:
        return []
    share = Fraction(target - before) / Fraction(after - before)
    return [share] if 0 < share < 1 else []


def volumes_of_interval(new, base, low, high, minutes):
    """Offer (>= 0) and bid (<= 0) volume [MWh] of one band in an interval where everything is a straight
    line.

    Args:
        new, base: deviation from the FPN [MW] at both ends of the interval, after and before the acceptance.
    """
    cuts = [Fraction(0), Fraction(1)]
    for ends in (new, base):
        for edge in (low, high):
            cuts = cuts + meeting_points(ends[0], ends[1], edge)
    cuts = sorted(set(cuts))

    def moved(share):
        was = clamp(base[0] + share * (base[1] - base[0]), low, high)
        now = clamp(new[0] + share * (new[1] - new[0]), low, high)
        return now - was

    # Between two cuts the moved power is a straight line; it may still change sign once.
    fine = list(cuts)
    for left, right in pairwise(cuts):
        fine.extend(left + share * (right - left) for share in meeting_points(moved(left), moved(right), 0))
    fine = sorted(set(fine))
    offer = bid = Fraction(0)
    for left, right in pairwise(fine):
        mwh = (moved(left) + moved(right)) / 2 * (right - left) * minutes / MINUTES_PER_HOUR
        if mwh > 0:
            offer = offer + mwh
        else:
            bid = bid + mwh
    return offer, bid


def accepted_volumes(fpn, acceptances, widths_mw, period_minutes=HALF_HOUR_MINUTES):
    """Offer and bid volume [MWh] of every acceptance and pair in the period.

    Rule (BSC T3): order by (acceptance time, number); an acceptance moves the unit from the latest earlier
    acceptance that covers the minute, else from the FPN, to its own level.

    Args:
        fpn: segments covering the whole period.
        acceptances: dicts of ``number``, ``time`` and ``segments``.
        widths_mw: {pair: width of its band}, pairs +1, +2 ... and -1, -2 ...

    Returns:
        {(acceptance number, pair): (offer_mwh, bid_mwh)}.
    """
    ordered = sorted(acceptances, key=lambda acceptance: (acceptance["time"], acceptance["number"]))
    minutes = {0, period_minutes}
    for from_minute, _, to_minute, _ in [*fpn, *[row for one in ordered for row in one["segments"]]]:
        minutes.update(minute for minute in (from_minute, to_minute) if 0 <= minute <= period_minutes)
    edges = sorted(minutes)
    volumes = {}
    for place, acceptance in enumerate(ordered):
        for pair in widths_mw:
            low, high = band_of(pair, widths_mw)
            offer = bid = Fraction(0)
            for start, end in pairwise(edges):
                plan = ends_of(fpn, start, end)
                base = plan
                for earlier in ordered[:place]:  # the last that covers the interval stays
                    covered = ends_of(earlier["segments"], start, end)
                    if covered is not None:
                        base = covered
                new = ends_of(acceptance["segments"], start, end)
                if new is None:
                    new = base
                one_offer, one_bid = volumes_of_interval(
                    (new[0] - plan[0], new[1] - plan[1]),
                    (base[0] - plan[0], base[1] - plan[1]),
                    low,
                    high,
                    Fraction(end - start),
                )
                offer = offer + one_offer
                bid = bid + one_bid
            volumes[(acceptance["number"], pair)] = (offer, bid)
    return volumes


def volumes_by_pair(volumes):
    """QAO and QAB [MWh] of each pair: its volumes over all acceptances."""
    by_pair = {}
    for (_, pair), (offer, bid) in volumes.items():
        so_far = by_pair.get(pair, (Fraction(0), Fraction(0)))
        by_pair[pair] = (so_far[0] + offer, so_far[1] + bid)
    return by_pair


def bm_cashflow_gbp(by_pair, prices, tlm):
    """Sum over pairs of (QAO x PO + QAB x PB) x TLM [GBP]; + is paid to the lead party.

    Args:
        prices: {pair: (offer price, bid price)} [GBP/MWh].
    """
    total = Fraction(0)
    for pair, (offer_mwh, bid_mwh) in by_pair.items():
        offer_price, bid_price = prices[pair]
        total = total + offer_mwh * offer_price * tlm + bid_mwh * bid_price * tlm
    return total


def profile_mwh(segments, period_minutes=HALF_HOUR_MINUTES):
    """Energy [MWh] of a profile that covers the whole period: the Period FPN."""
    total = Fraction(0)
    for from_minute, from_mw, to_minute, to_mw in segments:
        start = max(from_minute, 0)
        end = min(to_minute, period_minutes)
        if end > start:
            before, after = ends_of([(from_minute, from_mw, to_minute, to_mw)], start, end)
            total = total + Fraction(before + after) / 2 * Fraction(end - start) / MINUTES_PER_HOUR
    return total


def non_delivery(base_mwh, metered_mwh, by_pair, prices, tlm, imbalance_price):
    """Non-delivered offer and bid volume [MWh] and the charge [GBP]; a charge above zero is paid by the
    party.

    QME = base + accepted; QNDO = min(max(QME - QM, 0), accepted offers); QNDB = max(min(QME - QM, 0),
    accepted bids); offers dearest first, bids lowest price first [the order is from memory in the fact
    sheet].
    """
    offers = sum((offer for offer, _ in by_pair.values()), Fraction(0))
    bids = sum((bid for _, bid in by_pair.values()), Fraction(0))
    expected = base_mwh + offers + bids
    short = expected - metered_mwh
    missed_offer = min(max(short, Fraction(0)), offers)
    missed_bid = max(min(short, Fraction(0)), bids)
    charge = Fraction(0)
    left = missed_offer
    for pair in sorted(by_pair, key=lambda one: -prices[one][0]):
        taken = min(left, by_pair[pair][0])
        charge = charge + taken * max(prices[pair][0] - imbalance_price, Fraction(0))
        left = left - taken
    left = missed_bid
    for pair in sorted(by_pair, key=lambda one: prices[one][1]):
        taken = max(left, by_pair[pair][1])
        charge = charge + taken * min(prices[pair][1] - imbalance_price, Fraction(0))
        left = left - taken
    return missed_offer, missed_bid, charge * tlm


# --- BL01 and the Demand Flexibility Service
# ----------------------------------------------------------------------


def is_clock_change(day):
    """Whether the clocks change on a day: the last Sunday of March or of October."""
    return day.month in (3, 10) and day.weekday() == 6 and (day + timedelta(days=7)).month != day.month


def is_working(day, bank_holidays):
    """Whether a day is neither Saturday, Sunday nor bank holiday."""
    return day.weekday() < SATURDAY and day not in bank_holidays


def bl01_days(day, history, event_days, bank_holidays):
    """The days BL01 averages, or None when there are too few.

    Args:
        history: {date: volumes per Settlement Period of that day}, a missing one None.
    """
    eligible = []
    for back in range(1, 61):
        candidate = day - timedelta(days=back)
        if is_working(candidate, bank_holidays) != is_working(day, bank_holidays):
            continue
        if candidate in event_days or is_clock_change(candidate):
            continue
        volumes = history.get(candidate)
        if volumes is None or any(volume is None for volume in volumes):
            continue
        eligible.append(candidate)
    if is_working(day, bank_holidays):
        return eligible[:10] if len(eligible) >= 5 else None
    if len(eligible) < 4:
        return None
    return sorted(eligible[:4], key=lambda one: sum(history[one]))[1:3]


def bl01(day, history, event_days, bank_holidays, periods, adjusted):
    """BL01 baseline {period: volume} of the delivery periods, or None when the data do not suffice.

    Args:
        periods: delivery Settlement Periods, numbered from 1, in order; one block.
        adjusted: whether the in-day adjustment is added: the mean of (metered - unadjusted) over the six
            periods t0-8 ... t0-3.
    """
    days = bl01_days(day, history, event_days, bank_holidays)
    if days is None:
        return None

    def unadjusted(period):
        total = Fraction(0)
        for one in days:
            total = total + history[one][period - 1]
        return total / len(days)

    shift = Fraction(0)
    if adjusted:
        for period in range(periods[0] - 8, periods[0] - 2):
            shift = shift + Fraction(history[day][period - 1]) - unadjusted(period)
        shift = shift / 6
    return {period: unadjusted(period) + shift for period in periods}


def dfs_payment_factor(delivered_mwh, accepted_mw):
    """K of the DFS payment curve (Procurement Rules v5.0): RV = 100 V / (0.5 Q)."""
    percent = Fraction(100) * delivered_mwh / (accepted_mw / 2)
    if percent >= 120:
        return Fraction(6, 5)
    if percent >= 50:
        return percent / 100
    if percent >= 25:
        return (2 * percent - 50) / 100
    if percent >= 0:
        return Fraction(0)
    if percent >= -100:
        return percent / 100
    return Fraction(-1)


def dfs_unit_gbp(meters, day, bank_holidays, period, accepted_mw, price, turn_up):
    """What a DFS unit is paid for one period [GBP]: S = 0.5 P Q K over its meters' BL01 without adjustment.

    A meter whose data do not suffice has its outturn for baseline: it delivers nothing.

    Args:
        meters: (history, event days) of each; a history is {date: volumes [Wh, import +]}, the day itself
        too.
    """
    reduced_wh = Fraction(0)
    for history, event_days in meters:
        baseline = bl01(day, history, event_days, bank_holidays, [period], False)
        metered = Fraction(history[day][period - 1])
        expected = metered if baseline is None else baseline[period]
        reduced_wh = reduced_wh + expected - metered
    delivered_wh = -reduced_wh if turn_up else reduced_wh
    factor = dfs_payment_factor(delivered_wh / 1_000_000, accepted_mw)
    return Fraction(1, 2) * price * accepted_mw * factor


# --- P415: wholesale by a Virtual Trading Party
# -------------------------------------------------------------------


def p415_settlement(pairs, sourcing_cost, final_demand, mutualised):
    """Deviation volume of a unit, the correction to each Supplier and who pays whom, for one period.

    Deviation = metered - Settlement Expected Volume, at BM Unit level, export +. Inactive pairs ("I") count
    on neither side. A Supplier's own position is corrected by the deviation caused in its book, so that it is
    as if its customers had kept to what was expected. Each hosting Supplier receives its volume x the
    Supplier Sourcing Cost: from the Virtual Trading Party, or, mutualised, from all Suppliers by Final
    Demand.

    Args:
        pairs: dicts of ``supplier``, ``indicator`` ("B", "S" or "I"), ``expected_mwh`` and ``metered_mwh``,
            import +.
        sourcing_cost: GBP/MWh.
        final_demand: {supplier: MWh}, every Supplier there is.

    Returns:
        dict of ``deviation_mwh`` (export +); ``supplier_deviation_mwh`` {supplier: MWh, export +};
        ``supplier_corrected_mwh`` {supplier: metered import of its pairs as corrected}; ``supplier_gbp`` and
        ``vtp_gbp`` (+ received).
    """
    deviation = {supplier: Fraction(0) for supplier in final_demand}
    corrected = {supplier: Fraction(0) for supplier in final_demand}
    for pair in pairs:
        supplier = pair["supplier"]
        moved = Fraction(0)
        if pair["indicator"] != "I":
            moved = -pair["metered_mwh"] + pair["expected_mwh"]
        deviation[supplier] = deviation[supplier] + moved
        corrected[supplier] = corrected[supplier] + pair["metered_mwh"] + moved
    pot = Fraction(0)
    received = {}
    for supplier, moved in deviation.items():
        received[supplier] = moved * sourcing_cost
        pot = pot + received[supplier]
    vtp = Fraction(0)
    if mutualised:
        demand = sum(final_demand.values(), Fraction(0))
        for supplier in final_demand:
            received[supplier] = received[supplier] - pot * final_demand[supplier] / demand
    else:
        vtp = -pot
    return {
        "deviation_mwh": sum(deviation.values(), Fraction(0)),
        "supplier_deviation_mwh": deviation,
        "supplier_corrected_mwh": corrected,
        "supplier_gbp": received,
        "vtp_gbp": vtp,
    }
