"""What every section of a scenario is: typed, frozen, closed, with units in its fields' names."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import AliasGenerator, BaseModel, ConfigDict

from sim.quantity import without_unit


class Model(BaseModel):
    """Typed, frozen, nothing unknown, nothing infinite."""

    model_config = ConfigDict(
        strict=True,
        extra="forbid",
        frozen=True,
        allow_inf_nan=False,
        alias_generator=AliasGenerator(validation_alias=without_unit),
        validate_by_name=True,
    )


def sections(above: type[Model] = Model) -> Iterator[type[Model]]:
    """Every kind of section that there is, a section's own kinds after it."""
    for section in above.__subclasses__():
        yield section
        yield from sections(section)
