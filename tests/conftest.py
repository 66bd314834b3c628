"""The settings every test shares."""

from hypothesis import settings

# The same examples every time, however slow the machine: a verdict must not depend on luck. New worlds are
# what `make storm` is for.
settings.register_profile("same_again", derandomize=True, deadline=None)
settings.load_profile("same_again")
# Each time other examples, and many: `make oracle`, or pytest tests/oracle --hypothesis-profile=thousands.
settings.register_profile("thousands", max_examples=5_000, deadline=None, print_blob=True)
