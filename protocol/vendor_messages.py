"""What vendors' clouds say, in their own units, signs and clocks. Owns the shape of their reports.

What the numbers mean is the vendor's documentation: `protocol/vendors.py`. The aggregator makes one asset
model of them in `aggregator/normaliser.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from protocol.messages import I8, I32, I64, Message

F64 = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class VendorReadings(Message):
    """Readings of one vendor's assets as its interface tells them. NaN: the field is not in the report."""

    vendor: str
    rows: I32
    stamp: F64  # in the vendor's clock: UTC ms, UTC s, or s shown by London's clock
    arrival_ms: I64  # when the aggregator got it [UTC ms]
    power: F64  # in the vendor's unit and sign
    energy: F64  # register, in the vendor's unit and sign
    status: I8  # AssetStatus; UNKNOWN where the vendor does not tell
    soc: F64  # [%]
