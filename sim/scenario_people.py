"""What a scenario may say of people in events: who takes part, who acts by hand, who complains. Data alone.

By default nobody is asked (`aggregator.dfs.ask`), nobody is enrolled to act by hand and nobody complains. A
source in a description is where a default comes from; "assumed" marks a guess, which is why it is a
parameter. CNZ: Centre for Net Zero on households in DFS.
"""

from __future__ import annotations

from pydantic import Field

from sim.quantity import Duration, Share
from sim.scenario_model import Model

HOUR_MS = 3_600_000


class OptIn(Model):
    """Who takes part in an event when asked."""

    share: Share = Field(default=0.25, description="rested homes asked in good time; 25-50 % (CNZ)")
    refuses_share: Share = Field(
        default=0.10, description="of the others, say no; the rest says nothing; assumed"
    )
    short_notice_cut: Share = Field(
        default=0.25, description="fewer take part when asked at the last moment (CNZ, of the response)"
    )
    full_notice_ms: Duration = Field(
        default=12 * HOUR_MS, ge=1, description="asked so long before, notice costs nothing; linear; assumed"
    )
    fatigue_per_event: Share = Field(
        default=0.0, description="fewer take part per event asked for lately; assumed: no figure is published"
    )
    fatigue_memory_ms: Duration = Field(
        default=72 * HOUR_MS, ge=1, description="an event is forgotten to 37 % in this time; assumed"
    )
    fatigue_per_complaint: float = Field(
        default=5.0, ge=0, le=1_000, description="a complaint tires like so many events; assumed"
    )
    unread_share: Share = Field(default=0.05, description="notices that nobody ever reads; assumed")
    app_median_ms: Duration = Field(default=600_000, description="until an answer by app; assumed")
    text_median_ms: Duration = Field(default=1_200_000, description="by text message; assumed")
    email_median_ms: Duration = Field(default=3 * HOUR_MS, description="by e-mail; assumed")
    delay_log_sd: float = Field(default=1.0, ge=0, le=3, description="log-normal; assumed")


class ByHand(Model):
    """Whole-house manual response (CrowdFlex 4.1.2): what people leave off when an event comes."""

    share: Share = Field(
        default=0.0,
        description="of the homes drawn for DFS that have nothing to be steered, enrolled by hand",
    )
    with_assets_share: Share = Field(
        default=0.0, description="of the DFS homes with steered assets, leave off other things as well"
    )
    forgets_share: Share = Field(
        default=0.20, description="of those who are in, do nothing after all; assumed"
    )
    cut_share: Share = Field(
        default=0.50, description="base load left off by who acts: with 20 % forgetting 40 % of it all (CNZ)"
    )
    cut_log_sd: float = Field(default=0.5, ge=0, le=2, description="between homes; assumed")
    late_mean_ms: Duration = Field(default=300_000, description="begun so long after the start; assumed")
    rebound_share: Share = Field(default=0.30, description="of what was left off, made up for later; assumed")
    rebound_over_ms: Duration = Field(default=5_400_000, ge=1, description="evenly over this time; assumed")


class Comfort(Model):
    """Who complains of the cold: of rooms while they are held, of stores and taps after it."""

    complains_share: Share = Field(
        default=0.0, description="of the homes left cold on a day, complain; none by default"
    )
    below_k: float = Field(
        default=1.5, ge=0, le=10, description="below comfort, or where the room was when held [K]; assumed"
    )
    after_ms: Duration = Field(
        default=1_800_000, description="cold for so long while held; off 2-3 h goes unnoticed (realism)"
    )
    look_every_ms: Duration = Field(
        default=300_000, ge=60_000, le=HOUR_MS, description="how often people feel it; ours"
    )
    withdraws_share: Share = Field(
        default=0.20, description="of those who complain, want no further events; assumed"
    )


class People(Model):
    """People in events."""

    opt_in: OptIn = OptIn()
    by_hand: ByHand = ByHand()
    comfort: Comfort = Comfort()
