"""One run, drawn: power by the second, energy by half-hour, pounds by item. It decides nothing."""

# %% The run folder, and where the figure goes (nothing: to the screen)
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd

run = Path(sys.argv[1] if len(sys.argv) > 1 else "results/demo")
picture = sys.argv[2] if len(sys.argv) > 2 else None

# %% Tables. Import is positive; times are UTC milliseconds, shown as London time
seconds = pd.read_parquet(run / "portfolio_1s.parquet")
half_hours = pd.read_parquet(run / "half_hourly.parquet")
settlement = pd.read_parquet(run / "settlement.parquet")


def london(at_ms):
    return pd.to_datetime(at_ms, unit="ms", utc=True).dt.tz_convert("Europe/London").dt.tz_localize(None)


seconds["at"] = london(seconds["at_ms"])
half_hours["at"] = london(half_hours["at_ms"])
power_mw = seconds.groupby("at")[["import_w", "without_w"]].sum() / 1e6
energy_mwh = half_hours.groupby("at")[["devices_wh", "base_wh"]].sum() / 1e6
pounds = settlement.groupby(["service", "item"])["amount_gbp_e5"].sum().div(1e5).sort_values()
pounds = pounds[pounds != 0]

# %% Figure
figure, (top, middle, bottom) = plt.subplots(3, 1, figsize=(10, 11), layout="constrained")

top.plot(power_mw.index, power_mw["without_w"], color="0.6", lw=0.8, label="without instructions")
top.plot(power_mw.index, power_mw["import_w"], color="C0", lw=0.8, label="as lived")
top.set(title=f"{run.name}: true import of the EVs", ylabel="MW", ylim=(0, None))
top.legend(loc="upper left")

width = pd.Timedelta(minutes=30)
middle.bar(energy_mwh.index, energy_mwh["base_wh"], width, align="edge", color="0.8", label="everything else")
middle.bar(
    energy_mwh.index,
    energy_mwh["devices_wh"],
    width,
    energy_mwh["base_wh"],
    align="edge",
    color="C0",
    label="devices",
)
middle.set(title="Energy by settlement period", ylabel="MWh")
middle.legend(loc="upper left")

labels = [" ".join(key) for key in pounds.index]
bottom.barh(labels, pounds, color=["C2" if amount > 0 else "C3" for amount in pounds])
bottom.axvline(0, color="black", lw=0.8)
bottom.set(
    title=f"Settled, in all statements: {pounds.sum():,.2f} GBP", xlabel="GBP, positive to the aggregator"
)

# %%
if picture:
    figure.savefig(picture, dpi=120)
else:
    plt.show()
