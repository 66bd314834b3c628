"""What the study of boundary metering finds in a small world."""

import pytest

from studies import boundary_noise as study


@pytest.fixture(scope="module")
def rows():
    return study.boundary_noise(480, (30, 60, 120, 480))


def test_errors_and_noise_fall_with_the_number_of_homes(rows):
    assert [(row.homes, row.units) for row in rows] == [(30, 16), (60, 8), (120, 4), (480, 1)]
    few, many = rows[0], rows[2]
    for name in ("asset_error", "boundary_error", "base_noise"):
        assert getattr(few, name) / getattr(many, name) == pytest.approx(2, rel=0.4), name
    assert few.boundary_within < many.boundary_within
    assert rows[-1].base_noise is None


def test_a_home_seen_whole_is_noisier_than_its_car(rows):
    # Table 3 gives the smart meter the better accuracy and the shorter interval, but kettles are short.
    assert all(row.boundary_error > row.asset_error for row in rows)
    assert all(0 <= share <= 1 for row in rows for share in (row.asset_within, row.boundary_within))


def test_the_number_of_homes_follows_the_law_of_the_root():
    row = study.Row(100, 5, 0.01, 0.9, 0.02, 0.5, 0.10)
    assert study.homes_for([row], 0.01) == pytest.approx(10_000)
    assert study.homes_for([row, study.Row(400, 1, 0.01, 0.9, 0.02, 0.5, None)], 0.05) == pytest.approx(400)


def test_the_page_tells_every_row(rows):
    told = study.page(rows)
    assert "| 480 | 1 |" in told
    assert told.count("\n| ") == len(rows) + 1
    assert "read every 10 s, 13 s late" in told


def test_a_perfect_meter_read_every_second_errs_by_less_than_a_second():
    cars, base = study._evening(40, 3)
    told = study._published(study._joined(cars, base), study.Meter("boundary", 0.0, 1_000, 0), 40, 20, 3)
    true = study._seconds(cars, 40, 20) + study._seconds(base, 40, 20)
    assert (told == true).mean() > 0.9  # else somebody switched between the reading and the whole second
    assert told.mean() == pytest.approx(true.mean(), rel=1e-4)
