"""Who is in: what homes said and nothing else; and what the loop makes of it."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from aggregator.participation import Participation
from aggregator.settings import Assumptions
from protocol.messages import Answer, Complaints, EventAnswers

EVERY = np.arange(10, dtype=np.int32)


def answers(homes, said, name="E1"):
    homes = np.array(homes, np.int32)
    return EventAnswers(name, homes, np.full(len(homes), said, np.int8), np.zeros(len(homes), np.int64))


def complaint(homes, withdraws=1):
    homes = np.array(homes, np.int32)
    return Complaints(homes, np.zeros(len(homes), np.int64), np.full(len(homes), withdraws, np.int8))


def asked():
    book = Participation()
    book.ask("E1", "E1", EVERY)
    return book


def test_silence_is_no_yes():
    assert asked().stays_out(EVERY, ["E1"]).all()


def test_only_those_who_said_yes_are_in_and_a_no_takes_it_back():
    book = asked()
    assert book.take(answers([2, 5, 7], Answer.IN)).tolist() == [2, 5, 7]
    book.take(answers([5, 6], Answer.OUT))
    assert np.flatnonzero(~book.stays_out(EVERY, ["E1"])).tolist() == [2, 7]
    assert book.asked["E1"].opted_out == 2


def test_nobody_comes_in_once_it_has_begun_but_anybody_may_go():
    book = asked()
    book.take(answers([2, 5], Answer.IN))
    assert book.begin("E1").tolist() == [2, 5]
    assert book.take(answers([6], Answer.IN)).tolist() == []
    book.take(answers([5], Answer.OUT))
    assert np.flatnonzero(~book.stays_out(EVERY, ["E1"])).tolist() == [2]
    assert book.begin("E1").tolist() == [2, 5]


def test_answers_of_homes_and_events_that_nobody_asked_change_nothing():
    book = Participation()
    book.ask("E1", "E1", EVERY[::2])
    assert book.take(answers([1, 99], Answer.IN)).tolist() == []
    assert book.take(answers([2], Answer.IN, "E2")).tolist() == []
    assert book.stays_out(EVERY, ["E1"]).all()


def test_without_asking_everybody_is_in():
    book = asked()
    assert book.concerns(["E0", "E1"])
    assert not book.concerns(["E0"])
    assert not book.stays_out(EVERY, ["E0"]).any()


def test_who_withdraws_is_neither_asked_nor_steered_again_in_any_service():
    book = Participation()
    book.withdraw(complaint([3]))
    book.withdraw(complaint([4], withdraws=0))
    assert np.flatnonzero(book.stays_out(EVERY, ["_C-17"])).tolist() == [3]
    assert 3 not in book.ask("E1", "E1", EVERY)


def test_what_is_expected_moves_from_the_owners_word_to_what_was_seen(tools):
    book, assumed = Participation(), Assumptions()
    first = book.expected_share(tools.SETTINGS, assumed)
    assert first == tools.SETTINGS.dfs.expected_opt_in
    for event in range(300):
        book.ask(str(event), "E", EVERY)
        book.take(answers([1, 2, 3, 4, 5, 6, 7, 8], Answer.IN, str(event)))
        book.begin(str(event))
    later = book.expected_share(tools.SETTINGS, assumed)
    assert abs(later - (1000 * first + 300 * 8) / (1000 + 3000)) < 1e-12


@given(st.lists(st.tuples(st.integers(0, 9), st.sampled_from([Answer.IN, Answer.OUT])), max_size=30))
def test_the_last_word_counts_whatever_was_said_before(said):
    book, last = asked(), {}
    for home, answer in said:
        book.take(answers([home], answer))
        last[home] = answer
    yes = sorted(home for home, answer in last.items() if answer == Answer.IN)
    assert np.flatnonzero(~book.stays_out(EVERY, ["E1"])).tolist() == yes
