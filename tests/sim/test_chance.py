"""Draws are those of the published generator, and each is a function of what it is for alone."""

from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim import chance
from sim.chance import Purpose

MANY = np.arange(200_000, dtype=np.int64)


def counters(*words: int) -> tuple[np.uint64, ...]:
    return tuple(np.uint64(word) for word in words)


@pytest.mark.parametrize(
    ("key", "counter", "expected"),
    [
        ((0, 0), (0, 0, 0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        (
            (0xFFFFFFFF, 0xFFFFFFFF),
            (0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF),
            (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD),
        ),
        (
            (0xA4093822, 0x299F31D0),
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
        ),
    ],
)
def test_philox_gives_the_known_answers_of_random123(key, counter, expected):
    # Random123 1.14, tests/kat_vectors, "philox4x32 10".
    assert tuple(int(word) for word in chance.philox(*counters(*key), *counters(*counter))) == expected


def test_streams_are_the_outputs_of_splitmix64():
    # SplitMix64 from seed 1234567 (Rosetta Code, "Pseudo-random numbers/Splitmix64"): second to fifth output.
    assert [int(chance.stream(1234567, purpose)) for purpose in (1, 2, 3, 4)] == [
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]


def test_no_two_purposes_and_no_two_neighbouring_seeds_share_a_stream():
    streams = [int(chance.stream(seed, purpose)) for seed in range(100) for purpose in Purpose]
    assert len(set(streams)) == len(streams)


def test_the_counter_holds_48_bits_of_entity_64_of_moment_and_16_of_number():
    key = np.uint64(0x1111222233334444)
    found = chance.words(key, 0xABCD_0123_4567, 0x0102_0304_0506_0708, 0xFEDC)
    by_hand = chance.philox(
        *counters(0x33334444, 0x11112222), *counters(0x01234567, 0x05060708, 0x01020304, 0xFEDCABCD)
    )
    assert found == by_hand


def test_the_fields_of_a_counter_do_not_run_into_each_other():
    entities = (0, 1, 2**32 - 1, 2**32, 2**48 - 1)
    moments = (0, 1, 2**32 - 1, 2**32, 2**62)
    numbers = (0, 1, 2**15, 2**16 - 1)
    key = chance.stream(1, Purpose.HOME)
    drawn = [chance.words(key, *place) for place in product(entities, moments, numbers)]
    assert len(set(drawn)) == len(drawn)


@given(
    st.lists(st.integers(0, 2**48 - 1), min_size=1, max_size=20, unique=True),
    st.integers(0, 2**62),
    st.integers(0, 2**16 - 1),
)
def test_a_draw_does_not_depend_on_who_else_draws(entities, moment, number):
    key = chance.stream(7, Purpose.DIARY)
    together = chance.units(key, np.array(entities, np.int64), moment, number)
    backwards = chance.units(key, np.array(entities[::-1], np.int64), moment, number)[::-1]
    alone = [chance.units(key, np.array([entity], np.int64), moment, number)[0] for entity in entities]
    assert np.array_equal(together, backwards)
    assert np.array_equal(together, alone)


def test_a_uniform_number_is_never_nought_and_never_one():
    assert chance.unit(np.uint64(0)) == 0.5 / 2**32
    assert 1.0 - chance.unit(np.uint64(2**32 - 1)) == 0.5 / 2**32


def test_uniform_numbers_fill_their_range_evenly():
    u = chance.units(chance.stream(3, Purpose.HOME), MANY)
    expected = len(MANY) / 64
    for column in u.T:
        counts = np.bincount((column * 64).astype(int), minlength=64)
        chi_square = ((counts - expected) ** 2 / expected).sum()
        assert 30 < chi_square < 110  # 63 degrees of freedom: beyond 3 in 10,000 on either side


def test_normals_have_the_moments_of_a_standard_normal():
    z = chance.normals(chance.stream(3, Purpose.HOME), MANY)
    n = len(MANY)
    for column in z.T:
        assert abs(column.mean()) < 4 / n**0.5
        assert abs(column.var() - 1) < 4 * (2 / n) ** 0.5
        assert abs((column**3).mean()) < 4 * (15 / n) ** 0.5
        assert abs((column**4).mean() - 3) < 4 * (96 / n) ** 0.5


def test_draws_of_one_entity_are_independent_of_each_other():
    key = chance.stream(5, Purpose.EV)
    columns = [*chance.normals(key, MANY).T, *chance.normals(key, MANY, moment=1).T]
    columns += [*chance.normals(key, MANY, number=1).T, *chance.normals(key, MANY + 1).T]
    columns += [*chance.normals(chance.stream(5, Purpose.DRIVER), MANY).T]
    for a, b in combinations(columns, 2):
        assert abs(np.corrcoef(a, b)[0, 1]) < 4.5 / len(MANY) ** 0.5


def test_single_normals_are_those_drawn_in_columns():
    key = chance.stream(2, Purpose.PRICE)
    columns = chance.normals(key, MANY[:50], moment=9, number=3)
    for entity in range(50):
        a, b, c, d = chance.words(key, entity, 9, 3)
        assert columns[entity] == pytest.approx([chance.normal(a, b), chance.normal(c, d)], rel=1e-12)
