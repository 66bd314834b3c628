"""The aggregator under test: decides on beliefs and messages; never sees devices, clock, chance or wire."""
