"""Further services in the four views: what a line is worth, and where calls and trades belong."""

from studies.reconciliation import Cause, _further_money, place_of


def line(item, amount, *, volume=0.0, price=0.0, **more):
    return {"item": item, "amount_gbp_e5": amount, "volume_mwh": volume, "price_gbp_per_mwh": price, **more}


def test_what_is_short_and_what_the_curve_takes_are_told_apart():
    # 0.1 MWh asked for at 200: 20 GBP; 0.08 came: 4 GBP short; at factor 0.5 another 8 are taken off.
    paid = line("utilisation", 8_00000, volume=0.08, price=200.0)
    worth, parts = _further_money([paid], {"accepted_wh": 100_000})
    assert worth == 20_00000
    assert parts == [(Cause.NON_DELIVERY, -4_00000), (Cause.CAP_OR_CURVE, -8_00000)]


def test_turning_up_is_worth_its_size():
    worth, parts = _further_money(
        [line("utilisation", 20_00000, volume=-0.1, price=200.0)], {"accepted_wh": -100_000}
    )
    assert (worth, sum(part for _, part in parts)) == (20_00000, 0)


def test_lines_without_volume_are_worth_what_they_say():
    assert _further_money([line("availability", 7)], {"accepted_wh": 1})[0] == 7


def test_trades_of_a_period_share_it():
    sale = {"service": "wholesale", "unit": "W", "reference": "T1", "start_ms": 0}
    assert place_of(sale) == place_of({**sale, "reference": ""})
