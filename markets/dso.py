"""The distribution network operator: buys Sustain, Sustain-H, Secure, Dynamic and Restore in its zones.

One operator stands for all licence areas; a zone's name tells its own (`_A/cmz00`). All five are data of
`procurement.yaml` on the machinery of `markets/procurement.py`.
"""

from __future__ import annotations

from collections.abc import Sequence

from markets.procurement import Event, Procurement
from markets.procurement_entry import NO_REASON
from markets.procurement_settings import ProcurementSettings
from markets.procurement_terms import DSO_PRODUCTS
from protocol.messages import ServiceUnit

DSO = "dso"


class DistributionOperator(Procurement):
    """The party `dso`. `settings.sites` are constraint management zones. Raises SettingsError."""

    def __init__(self, settings: ProcurementSettings) -> None:
        super().__init__(DSO, DSO_PRODUCTS, settings)

    def network_refusal(self, event: Event, unit: ServiceUnit, turn_down_mw: Sequence[float]) -> str:  # noqa: ARG002
        """Nothing: a zone has one side."""
        return NO_REASON
