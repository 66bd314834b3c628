"""A Scotland in small: B6 around all of it, B4 around the north, a pocket in the north. CrowdFlex WP5
section 2.2.1.
"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.constraints import (
    NetworkError,
    beyond_mw,
    check_action,
    effect_mw,
    flows_mw,
    network,
    relieve,
)

GSPS = ("NORTH", "POCKET", "SOUTH", "ENGLAND")
NET = network(
    {
        "B6": (["NORTH", "POCKET", "SOUTH"], 100, 80),
        "B4": (["NORTH", "POCKET"], 90, 60),
        "pocket": (["POCKET"], 30, 5),
    },
    GSPS,
)
WINDY = flows_mw(NET, np.array([78.0, 2.0, 50.0, 0.0]))
"""B6 130 of 100: constrained outwards by 30. B4 80 of 90. Pocket 2 of 30."""


def verdict(gsp, demand_change_mw, flow=WINDY, target="B6"):
    found = check_action(NET, flow, target, gsp, demand_change_mw)
    return found.refusal, found.boundary, found.relief_mw


def test_flows_are_the_net_exports_behind():
    assert WINDY.tolist() == [130, 80, 2]
    assert beyond_mw(NET, WINDY).tolist() == [30, 0, 0]
    assert beyond_mw(NET, np.array([-90.0, -60.0, 0.0])).tolist() == [-10, 0, 0]
    assert flows_mw(NET, np.ones((4, 2))).tolist() == [[3, 3], [2, 2], [1, 1]]


def test_turning_up_behind_a_boundary_takes_as_much_off_its_flow():
    assert effect_mw(NET, "NORTH", 10).tolist() == [-10, -10, 0]
    assert effect_mw(NET, "ENGLAND", 10).tolist() == [0, 0, 0]


def test_turning_up_behind_the_export_constraint_relieves_it():
    assert verdict("SOUTH", 10) == (None, "B6", 10)
    assert verdict("SOUTH", 40) == (None, "B6", 30)


def test_an_action_in_front_of_the_constraint_is_on_the_wrong_side():
    assert verdict("ENGLAND", 10) == ("wrong_side", "B6", 0)
    assert verdict("ENGLAND", -10) == ("wrong_side", "B6", 0)


def test_turning_down_behind_an_export_constraint_is_the_wrong_direction():
    assert verdict("SOUTH", -10) == ("wrong_direction", "B6", 0)
    assert verdict("SOUTH", 0) == ("wrong_direction", "B6", 0)


def test_turning_up_in_a_weak_pocket_makes_a_new_constraint_behind():
    # The pocket exports 2 and can import 5: 7 MW fit, 8 do not.
    assert verdict("POCKET", 7) == (None, "B6", 7)
    assert verdict("POCKET", 8) == ("new_constraint", "pocket", 0)


def test_overshooting_the_targets_other_limit_is_a_new_constraint():
    assert verdict("SOUTH", 211) == ("new_constraint", "B6", 0)  # 130 - 211 = -81, import limit 80


def test_a_boundary_already_beyond_its_limit_must_not_get_worse():
    # The pocket imports 6 of 5 already; turning up there helps B6 and harms the pocket.
    flow = np.array([130.0, 80.0, -6.0])
    assert verdict("POCKET", 1, flow) == ("worsens_constraint", "pocket", 0)


def test_an_import_constraint_is_relieved_by_turning_down():
    calm = np.array([-90.0, -40.0, 0.0])
    assert verdict("SOUTH", -10, calm) == (None, "B6", 10)
    assert verdict("SOUTH", 10, calm) == ("wrong_direction", "B6", 0)


def test_what_is_not_constrained_or_not_known_is_refused():
    assert verdict("NORTH", 10, target="B4") == ("not_constrained", "B4", 0)
    assert verdict("WEST", 10) == ("unknown_gsp", "B6", 0)
    with pytest.raises(NetworkError, match="no boundary 'B7'; there are B6, B4, pocket"):
        verdict("NORTH", 1, target="B7")
    with pytest.raises(NetworkError, match="no GSP 'WEST'"):
        effect_mw(NET, "WEST", 1)
    with pytest.raises(NetworkError, match="B9 encloses WEST"):
        network({"B9": (["WEST"], 1, 1)}, GSPS)
    with pytest.raises(NetworkError, match="B9 has a limit below nothing"):
        network({"B9": (["NORTH"], -1, 1)}, GSPS)


def test_two_actions_harmless_alone_are_not_both_called():
    # 5 MW in the pocket fit once (2 - 5 = -3), not twice (-8 < -5). England never helps. 25 in the south
    # end it.
    verdicts, flow = relieve(
        NET,
        WINDY,
        "B6",
        ["POCKET", "POCKET", "ENGLAND", "SOUTH", "SOUTH"],
        np.array([5.0, 5.0, 5.0, 25.0, 25.0]),
        np.array([10.0, 20.0, 5.0, 30.0, 40.0]),
    )
    assert [one.refusal for one in verdicts] == [None, "new_constraint", "wrong_side", None, "not_needed"]
    assert flow.tolist() == [100, 75, -3]


actions = st.lists(
    st.tuples(st.sampled_from(GSPS), st.integers(-40, 40), st.integers(0, 9)), min_size=1, max_size=12
)


@given(st.lists(st.integers(-90, 150), min_size=4, max_size=4), st.sampled_from(NET.boundaries), actions)
def test_whatever_is_called_no_boundary_is_worse_than_before(exports, target, offered):
    flow = flows_mw(NET, np.array(exports, float))
    gsps, changes, prices = zip(*offered, strict=True)
    verdicts, after = relieve(NET, flow, target, gsps, np.array(changes, float), np.array(prices))
    assert (np.abs(beyond_mw(NET, after)) <= np.abs(beyond_mw(NET, flow)) + 1e-9).all()
    relieved = abs(beyond_mw(NET, flow)[NET.boundary(target)]) - abs(
        beyond_mw(NET, after)[NET.boundary(target)]
    )
    assert sum(one.relief_mw for one in verdicts) == pytest.approx(relieved)
