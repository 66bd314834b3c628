"""A market rung through its deadlines, and what it was heard to say, for the stories of every market."""

from protocol.messages import Remark
from protocol.party import NEVER_MS


def live(party, until_ms=NEVER_MS - 1):
    """Ring every deadline up to `until_ms`; gives back what was said as (time, to, message)."""
    said = [(party.state.now_ms, envelope.to, envelope.message) for envelope in party.take_outbox()]
    while (now_ms := party.next_deadline_ms()) <= until_ms:
        party.on_deadline(now_ms)
        assert party.next_deadline_ms() > now_ms
        said += [(now_ms, envelope.to, envelope.message) for envelope in party.take_outbox()]
    return said


def of_kind(said, kind, to=None):
    """The messages of a kind, to one party or to all."""
    return [message for _, who, message in said if isinstance(message, kind) and to in {None, who}]


def remarks(said):
    """What the journal was told, by kind."""
    return [message.kind for message in of_kind(said, Remark)]
