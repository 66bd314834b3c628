"""The evidence of realism: the published figures that the twin is held against, worked out from its models.

Each figure has one home here; `tests/realism` asserts the bands, `flextwin realism` writes the page.
"""
