"""Find the data scientist's three functions: load, features and model."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from mlops.config import Model, Project
from mlops.errors import ConfigError

if TYPE_CHECKING:
    import pandas as pd
    from sklearn.base import BaseEstimator


@dataclass(frozen=True)
class Science:
    """The three functions of ``src/<package>``."""

    load: Callable[[Path], pd.DataFrame]  # the raw rows, including the target
    features: Callable[[pd.DataFrame], BaseEstimator]  # an unfitted transformer for the inputs
    model: Callable[[Model, int], BaseEstimator]  # an unfitted classifier with this seed


def find_science(project: Project) -> Science:
    """Import the functions from ``src/<package>/{data,features,model}.py``.

    Raises
    ------
    ConfigError
        The package, a module or a function is missing, or fails on import.
    """

    def function(module: str, name: str) -> Callable[..., Any]:
        path = f"{project.package}.{module}"
        place = f"src/{project.package}/{module}.py"
        try:
            found = getattr(importlib.import_module(path), name)
        except ModuleNotFoundError as error:
            raise ConfigError(
                f"{place} cannot be imported: {error}.",
                "Run `python -m pip install -e .`, and check `package` in project.yml.",
            ) from error
        except AttributeError:
            raise ConfigError(f"{place} has no {name}().", f"Define {name} in it.") from None
        except Exception as error:
            raise ConfigError(f"{place} fails on import: {error!r}.") from error
        return cast("Callable[..., Any]", found)

    return Science(
        load=function("data", "load"),
        features=function("features", "features"),
        model=function("model", "model"),
    )
