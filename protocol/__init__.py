"""What both sides must agree on: messages, the party contract, periods, units, rulebooks and formulas."""
