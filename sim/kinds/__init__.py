"""The kinds of device that a population owns: how each is drawn, and what a day brings it."""
