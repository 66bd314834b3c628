"""The party `households`: what it says, what it does to the base load, and what it feels."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices import heat_pump
from protocol.codec import Reader, Writer
from protocol.messages import Answer, Channel, EventAnswers, EventCalledOff, EventNotice, Polls
from protocol.party import NEVER_MS
from sim.households import FUSE_WH
from sim.participants import Participants
from sim.scenario_people import ByHand, OptIn, People
from sim.warmth import too_cold

HALF_HOUR_MS = 1_800_000
START_MS = 1_705_426_200_000
DAY_MS = 86_400_000
KEEN = OptIn(share=1.0, unread_share=0.0, delay_log_sd=0.0)
HOMES = 200


def household(people=None, homes=HOMES, by_hand=None):
    by_hand = np.arange(homes, dtype=np.int32) if by_hand is None else by_hand
    population = SimpleNamespace(homes=range(homes), by_hand=by_hand, parts=(), within_reach=())
    scenario = SimpleNamespace(people=people or People(opt_in=KEEN), seed=1)
    return Participants(scenario, population, None, START_MS - DAY_MS)


def notice(homes=HOMES, start_ms=START_MS, name="E1-DFSH001"):
    every = np.arange(homes, dtype=np.int32)
    return EventNotice(name, every, start_ms, start_ms + 2 * HALF_HOUR_MS, int(Channel.APP))


def answers_of(party, until_ms):
    """All that is answered until a moment, as (moment, message)."""
    said = []
    while party.next_deadline_ms() <= until_ms:
        now_ms = party.next_deadline_ms()
        party.on_deadline(now_ms)
        said += [(now_ms, envelope.message) for envelope in party.take_outbox()]
    return said


def lived_wh(party, base_wh, from_ms=START_MS, periods=8, homes=None):
    """Base load as lived, period by period, shape (periods, homes)."""
    homes = np.arange(base_wh.shape[-1]) if homes is None else homes
    lived = []
    for k in range(periods):
        acted_wh = party.acted_wh(
            homes, base_wh, from_ms + k * HALF_HOUR_MS, from_ms + (k + 1) * HALF_HOUR_MS
        )
        lived.append(base_wh + (0 if acted_wh is None else acted_wh))
    return np.array(lived)


def test_every_answer_is_told_once_after_it_was_given_and_within_a_minute():
    party = household(People(opt_in=OptIn(share=0.5)))
    party.receive(notice(), START_MS - DAY_MS)
    said = answers_of(party, START_MS)
    homes = np.concatenate([message.homes for _, message in said])
    assert len(said) > 5
    assert len(np.unique(homes)) == len(homes) > HOMES / 3
    for now_ms, message in said:
        assert isinstance(message, EventAnswers)
        assert ((message.event_ms <= now_ms) & (message.event_ms >= now_ms - 60_000)).all()
    assert party.next_deadline_ms() == NEVER_MS


def test_nobody_acts_who_was_not_asked_or_who_answers_too_late():
    party = household()
    assert lived_wh(party, np.full(HOMES, 400)).min() == 400
    party.receive(notice(), START_MS - 1)
    assert lived_wh(party, np.full(HOMES, 400)).min() == 400


def test_only_homes_that_act_by_hand_do():
    party = household(by_hand=np.array([3, 4], np.int32))
    party.receive(notice(), START_MS - DAY_MS)
    changed = (lived_wh(party, np.full(HOMES, 4_000)) != 4_000).any(axis=0)
    assert set(np.flatnonzero(changed)) <= {3, 4}
    everybody = household(
        People(opt_in=KEEN, by_hand=ByHand(with_assets_share=1.0)), by_hand=np.empty(0, np.int32)
    )
    everybody.receive(notice(), START_MS - DAY_MS)
    assert (lived_wh(everybody, np.full(HOMES, 4_000)) != 4_000).any(axis=0).mean() > 0.7


@settings(deadline=None)
@given(
    cut=st.floats(0, 1),
    sd=st.floats(0, 2),
    rebound=st.floats(0, 1),
    over_min=st.integers(1, 180),
    base=st.lists(st.integers(0, FUSE_WH), min_size=20, max_size=20),
    twice=st.booleans(),
)
def test_what_is_left_off_is_at_most_what_is_used_and_at_most_its_share_comes_back(
    cut, sd, rebound, over_min, base, twice
):
    acting = ByHand(
        cut_share=cut,
        cut_log_sd=sd,
        rebound_share=rebound,
        rebound_over_ms=over_min * 60_000,
        forgets_share=0.0,
    )
    party, base_wh = household(People(opt_in=KEEN, by_hand=acting), homes=20), np.array(base, np.int16)
    for _ in range(1 + twice):
        party.receive(notice(20), START_MS - DAY_MS)
    lived = lived_wh(party, base_wh)
    assert (lived >= 0).all()
    assert (lived <= FUSE_WH).all()
    left_off = np.maximum(base_wh - lived[:2], 0).sum(axis=0)
    came_back = np.maximum(lived[2:] - base_wh, 0).sum(axis=0)
    assert (came_back <= rebound * left_off + 1e-6).all()
    assert party.acted_wh(np.arange(20), base_wh, START_MS + DAY_MS, START_MS + DAY_MS + HALF_HOUR_MS) is None


def test_homes_are_found_in_whatever_order_the_meters_lie():
    order = np.arange(HOMES) * 77 % HOMES
    lived = []
    for homes in (np.arange(HOMES), order):
        party = household()
        party.receive(notice(), START_MS - DAY_MS)
        lived.append(lived_wh(party, 100 + homes, homes=homes))
    assert (lived[0][:, order] == lived[1]).all()
    assert (lived[0] != 100 + np.arange(HOMES)).any()


def test_tired_homes_say_yes_less_often_from_event_to_event():
    tiring = KEEN.model_copy(update={"share": 0.5, "fatigue_per_event": 0.3})
    party = household(People(opt_in=tiring), homes=5_000)
    yes = []
    for k in range(4):
        start_ms = START_MS + k * DAY_MS
        party.receive(notice(5_000, start_ms, f"E{k}"), start_ms - DAY_MS // 2)
        said = answers_of(party, start_ms)
        yes.append(sum(int((message.answer == Answer.IN).sum()) for _, message in said))
    assert yes == sorted(yes, reverse=True)
    assert yes[-1] < 0.7 * yes[0]


def test_a_home_that_wants_no_more_says_no():
    party = household()
    party.receive(notice(), START_MS - DAY_MS)
    answers_of(party, START_MS)
    party.state.withdrawn[:] = 1
    party.receive(notice(start_ms=START_MS + DAY_MS, name="E2"), START_MS + HALF_HOUR_MS)
    said = [message for _, message in answers_of(party, START_MS + DAY_MS)]
    assert sum(len(message.homes) for message in said) == HOMES
    assert all((message.answer == Answer.OUT).all() for message in said)


def test_nobody_acts_in_an_event_that_was_called_off():
    party = household()
    party.receive(notice(), START_MS - DAY_MS)
    party.receive(notice(name="E2-DFSH001"), START_MS - DAY_MS)
    both = lived_wh(party, np.full(HOMES, 4_000)).sum()
    again = household()
    for each in ("E1-DFSH001", "E2-DFSH001"):
        again.receive(notice(name=each), START_MS - DAY_MS)
    again.receive(EventCalledOff("E1-DFSH001"), START_MS - HALF_HOUR_MS)
    assert both < lived_wh(again, np.full(HOMES, 4_000)).sum() < 8 * HOMES * 4_000
    again.receive(EventCalledOff("E2-DFSH001"), START_MS - HALF_HOUR_MS)
    assert (lived_wh(again, np.full(HOMES, 4_000)) == 4_000).all()


def test_people_read_notices_and_nothing_else():
    with pytest.raises(TypeError, match="EventNotices"):
        household().receive(Polls(np.array([1], np.int32)), START_MS)


def test_what_people_remember_survives_a_checkpoint():
    party, other = household(), household()
    party.receive(notice(), START_MS - DAY_MS)
    writer = Writer()
    tree = writer.encode(party.state)
    other.state = Reader([array.copy() for array in writer.arrays]).decode(tree)
    base_wh = np.full(HOMES, 500)
    assert (lived_wh(party, base_wh) == lived_wh(other, base_wh)).all()
    told = [[(at, m.homes.tolist()) for at, m in answers_of(each, START_MS)] for each in (party, other)]
    assert told[0] == told[1] != []


def test_a_room_is_too_cold_only_while_held_and_below_where_the_event_found_it():
    rows, spec = np.zeros(5, heat_pump.STATE), np.zeros(5, heat_pump.SPEC)
    spec["comfort_c"] = 21.0
    rows["limit_w"] = [0, 0, -1, 0, 0]
    rows["air_c"] = [18.5, 20.0, 18.5, 18.5, 20.0]
    rows["held_from_c"] = [21.0, 21.0, 21.0, 18.5, 21.0]  # the fourth had been set back
    rows["trend_c_per_s"] = [0.0, 0.0, 0.0, 0.0, -0.001]
    rows["anchor_ms"] = START_MS
    assert too_cold(rows, spec, 1.5, START_MS).tolist() == [True, False, False, False, False]
    assert too_cold(rows, spec, 1.5, START_MS + 1_000_000).tolist() == [True, False, False, False, True]
