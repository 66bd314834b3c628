"""The settings every test shares."""

from hypothesis import settings

# The same examples every time: a verdict must not depend on luck. New worlds are what `make storm` is for.
settings.register_profile("same_again", derandomize=True)
settings.load_profile("same_again")
