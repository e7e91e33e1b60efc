"""Every section that comes in kinds, and what its kinds stand for, found by themselves."""

import pkgutil
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import pytest

from speech_mtl.settings.recipe import Recipe
from speech_mtl.settings.section import Kinds

FAMILIES = {
    family.__name__: family
    for family in Kinds.__subclasses__()
    if any(kind.makes for kind in family.kinds().values())  # how layers are shared is a setting, and no class
}
every_family = pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)


def base_of(members: set[type]) -> type:
    """The most general class of the package that all of them are."""
    return next(
        one
        for one in reversed(next(iter(members)).__mro__)
        if one.__module__.startswith("speech_mtl.") and all(issubclass(member, one) for member in members)
    )


def leaves(base: type) -> Iterator[type]:
    """The classes of the package that are made from it, and of which no other is."""
    own = [one for one in base.__subclasses__() if one.__module__.startswith("speech_mtl.")]
    yield from (leaf for one in own for leaf in leaves(one)) if own else [base]


def test_the_families_are_found():
    assert set(FAMILIES) >= {"EncoderSettings", "TaskSettings", "WeightingSettings", "OptimizerSettings"}
    assert Recipe.model_fields["encoder"].annotation in FAMILIES.values()


@every_family
def test_what_a_kind_makes_is_there(family: type[Kinds]):
    assert all(isinstance(one.member(), type) for one in family.kinds().values())


@every_family
def test_every_class_has_a_kind_that_names_it(family: type[Kinds]):
    """In the folder of what they have in common; a class without settings could be chosen by no recipe."""
    members: set[Any] = set(family.members().values())
    base = base_of(members)
    package = base.__module__.rpartition(".")[0]
    for module in pkgutil.iter_modules(import_module(package).__path__):
        import_module(f"{package}.{module.name}")
    assert set(leaves(base)) <= members
