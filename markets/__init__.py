"""The counterparties as mocks (ESO, DSO, exchange, settlement), each a party with its own rules and gates."""
