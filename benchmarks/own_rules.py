"""Selection rules of one's own, named in a file beside a study: ``autods benchmark rules=my_rules.yaml``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from autods.core import UserError
from autods.io.foreign import read_by_library
from autods.zoo import SELECTION_RULES


@contextmanager
def own_rules(path: str | None) -> Iterator[None]:
    """Offer the rules of a file under their names while a suite runs.

    The file maps names to ``{_target_: module.function, _partial_: true, key: value}``: what it names is
    imported, so it is a researcher's own file, and no setting of any command.

    Parameters
    ----------
    path
        YAML file; None offers none.

    Raises
    ------
    UserError
        If it cannot be read, a name is taken, or what it names cannot be imported or called.
    """
    if path is None:
        yield
        return
    if not Path(path).is_file():
        raise UserError(f"rules={path}: there is no such file")
    with read_by_library(f"rules={path} is no YAML file of selection rules"):
        named = OmegaConf.load(path)
    if not isinstance(named, DictConfig) or not all(
        isinstance(value, DictConfig) for value in named.values()
    ):
        raise UserError(f"rules={path}: write NAME: {{_target_: module.function, _partial_: true}}")
    taken = sorted(set(map(str, named)) & set(SELECTION_RULES))
    if taken:
        raise UserError(f"rules={path}: {taken[0]} is a rule already: choose another name")
    try:
        found = {str(name): instantiate({"_partial_": True, **value}) for name, value in named.items()}
    except InstantiationException as error:
        raise UserError(f"rules={path}: {' '.join(str(error).split())}") from error
    SELECTION_RULES.update(found)
    try:
        yield
    finally:
        for name in found:
            del SELECTION_RULES[name]
