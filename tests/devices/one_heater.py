"""One heater that lives a winter's day by its own events and by orders: what all heaters share."""

import numpy as np

from protocol.messages import AckOutcome

PLAN_MS = 1_705_379_400_000  # 2024-01-16 04:30 UTC
DAY_MS = 86_400_000
HOUR_MS = 3_600_000
WH = 3_600_000


def at(clock):
    """UTC ms of `HH:MM[:SS]` on the first day; hours from 24 on are those of the next."""
    hours, minutes, *seconds = (int(part) for part in clock.split(":"))
    return PLAN_MS + (hours * 3600 + minutes * 60 + sum(seconds) - 16_200) * 1000


def shown(now_ms):
    """The clock at a moment, as `at` reads it."""
    seconds = (now_ms - PLAN_MS) // 1000 + 16_200
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"


def blank(physics):
    """State, specification and diary of one row, all zeros."""
    return tuple(np.zeros(1, kind) for kind in (physics.STATE, physics.SPEC, physics.DIARY))


class Heater:
    """One row that lives by its own events and by orders, and keeps what it was told.

    `fields` are put upon the specification or the diary; of its events it keeps those of the kinds `tells`.
    """

    def __init__(self, physics, tables, fields, *, today, tells):
        _, p, d = tables
        for name, value in fields.items():
            (d if name in d.dtype.names else p)[name] = value
        self.physics, self.today, self.tells = physics, today, tells
        self.s, self.p, self.d = (table.view(np.recarray)[0] for table in tables)
        self.told, self.trace, self.lived = [], [], 0
        self.next_ms = PLAN_MS + 1

    def live(self, until_ms):
        """Own events until a moment, each after the last."""
        while self.next_ms < until_ms:
            assert self.next_ms > int(self.s.at_ms)
            before_w = int(self.s.import_w)
            bits, _ = self.physics.happen(self.s, self.p, self.d, self.today, self.next_ms)
            self._tell(bits, before_w)

    def live_through(self, until_ms):
        """Own events until a moment, and then up to it."""
        self.live(until_ms + 1)
        self.physics.integrate(self.s, self.p, self.d, self.today, until_ms)
        self.next_ms = self.physics.next_event_ms(self.s, self.p, self.d, self.today)

    def live_under(self, orders):
        """A day and a night under orders; gives back the heater."""
        for sequence, (wait_ms, limit_w, early_ms, hold_ms) in enumerate(sorted(orders), 1):
            now_ms = PLAN_MS + 1 + wait_ms
            from_ms = now_ms + early_ms
            self.order(now_ms, limit_w, from_ms + hold_ms, from_ms=from_ms, sequence=sequence)
        self.live_through(PLAN_MS + DAY_MS)
        return self

    def order(self, now_ms, limit_w, until_ms, *, from_ms=None, sequence=1):
        """What becomes of an order that comes now, from now on unless said otherwise."""
        self.live(now_ms + 1)
        before_w = int(self.s.import_w)
        outcome = self.physics.obey(
            self.s, self.p, self.d, self.today, now_ms, limit_w, from_ms or now_ms, until_ms, sequence, True
        )
        self._tell(0, before_w)
        return AckOutcome(outcome)

    def _tell(self, bits, before_w):
        s = self.s
        clock = shown(int(s.at_ms))
        self.told += [(clock, kind.name) for kind in self.tells if bits >> kind & 1]
        if s.import_w != before_w:
            self.told.append((clock, int(s.import_w)))
        self.trace.append((s.tobytes(), bits))
        self.lived += 1
        self.next_ms = self.physics.next_event_ms(s, self.p, self.d, self.today)
