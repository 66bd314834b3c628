"""Laws of who says yes, who acts by hand and who complains."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.messages import Answer, Channel
from sim.event_response import acts, answers, complaints, enrolled_by_hand, opt_in_share, tired_after
from sim.scenario_people import ByHand, Comfort, OptIn

HOUR_MS = 3_600_000
START_MS = 1_705_426_200_000
HOMES = np.arange(20_000, dtype=np.int32)


def rested(homes=HOMES):
    return np.zeros(len(homes))


def given_answers(opt_in, *, notice_ms=24 * HOUR_MS, tired=None, homes=HOMES, channel=Channel.APP, seed=1):
    tired = rested(homes) if tired is None else tired
    return answers(opt_in, channel, homes, START_MS - notice_ms, START_MS, tired, seed)


def test_nobody_says_yes_with_share_0_however_long_the_notice():
    found = given_answers(OptIn(share=0.0))
    assert not (found.answer == Answer.IN).any()
    assert (found.answer == Answer.OUT).any()


def test_a_quarter_of_rested_homes_says_yes_when_asked_a_day_before():
    found = given_answers(OptIn(unread_share=0.0))
    assert abs((found.answer == Answer.IN).mean() - 0.25) < 0.01


def test_asked_at_the_last_moment_a_quarter_fewer_do():
    opt_in = OptIn(unread_share=0.0)
    early = (given_answers(opt_in).answer == Answer.IN).mean()
    late = (given_answers(opt_in, notice_ms=0).answer == Answer.IN).mean()
    assert abs(late / early - 0.75) < 0.03


@settings(deadline=None)  # compiled on the first call
@given(fatigue=st.floats(0, 1), less=st.floats(0, 20), more=st.floats(0, 20), notice_h=st.integers(0, 48))
def test_more_fatigue_never_makes_a_yes_of_anything_else(fatigue, less, more, notice_h):
    opt_in, homes = OptIn(share=0.5, fatigue_per_event=fatigue), HOMES[:500]
    yes = [
        given_answers(opt_in, notice_ms=notice_h * HOUR_MS, tired=np.full(500, tired), homes=homes).answer
        == Answer.IN
        for tired in (less, less + more)
    ]
    assert not (yes[1] & ~yes[0]).any()


@settings(deadline=None)  # compiled on the first call
@given(notice_h=st.floats(0, 48), longer_h=st.floats(0, 48), tired=st.floats(0, 10))
def test_longer_notice_never_costs_a_yes(notice_h, longer_h, tired):
    opt_in = OptIn(fatigue_per_event=0.1)
    short, long = (
        opt_in_share(opt_in, int(hours * HOUR_MS), np.array([tired]))[0]
        for hours in (notice_h, notice_h + longer_h)
    )
    assert 0 <= short <= long <= opt_in.share


def test_nobody_answers_before_being_asked_and_e_mail_takes_hours():
    median_h = {}
    for channel in Channel:
        found = given_answers(OptIn(), channel=channel)
        assert (found.at_ms >= START_MS - 24 * HOUR_MS).all()
        median_h[channel] = np.median(found.at_ms - (START_MS - 24 * HOUR_MS)) / HOUR_MS
    assert median_h[Channel.APP] < median_h[Channel.TEXT] < 1 < median_h[Channel.EMAIL]


def test_what_a_home_says_and_does_is_its_own_whoever_else_is_asked():
    few = HOMES[::37]
    alone, among = given_answers(OptIn(), homes=few), given_answers(OptIn())
    assert (alone.answer == among.answer[::37]).all()
    assert (alone.at_ms == among.at_ms[::37]).all()
    assert (
        acts(ByHand(), few, START_MS, 1).cut_share == acts(ByHand(), HOMES, START_MS, 1).cut_share[::37]
    ).all()


def test_the_next_event_is_drawn_anew():
    first, second = (
        answers(OptIn(), Channel.APP, HOMES, START_MS, at_ms, rested(), 1).answer
        for at_ms in (START_MS + HOUR_MS, START_MS + 25 * HOUR_MS)
    )
    assert (first != second).any()


@settings(deadline=None)  # compiled on the first call
@given(cut=st.floats(0, 1), sd=st.floats(0, 2))
def test_nobody_leaves_off_more_than_there_is_nor_before_the_start(cut, sd):
    found = acts(ByHand(cut_share=cut, cut_log_sd=sd), HOMES[:500], START_MS, 1)
    assert ((found.cut_share >= 0) & (found.cut_share <= 1)).all()
    assert (found.from_ms >= START_MS).all()


def test_those_who_are_in_leave_off_forty_per_cent_on_the_whole():
    assert abs(acts(ByHand(), HOMES, START_MS, 1).cut_share.mean() - 0.4) < 0.02


def test_events_are_forgotten():
    since_ms = np.full(3, START_MS, np.int64)
    tired = np.array([0.0, 1.0, 6.0])
    assert (tired_after(tired, since_ms, START_MS, 72 * HOUR_MS) == tired).all()
    later = tired_after(tired, since_ms, START_MS + 72 * HOUR_MS, 72 * HOUR_MS)
    assert np.allclose(later, tired / np.e)


def test_who_withdraws_has_complained():
    complains, withdraws = complaints(Comfort(complains_share=0.5, withdraws_share=0.5), HOMES, 738_900, 1)
    assert abs(complains.mean() - 0.5) < 0.02
    assert abs(withdraws.mean() - 0.25) < 0.02
    assert not (withdraws & ~complains).any()


def test_half_of_the_homes_are_enrolled_where_the_share_says_so():
    assert abs(len(enrolled_by_hand(ByHand(share=0.5), HOMES, 1)) / len(HOMES) - 0.5) < 0.02
    assert len(enrolled_by_hand(ByHand(share=0.0), HOMES, 1)) == 0
