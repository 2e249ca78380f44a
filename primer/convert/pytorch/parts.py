"""The classes of a model's PyTorch file, and the weights that their parameters have."""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

from primer.errors import UsageError

_HINT = "; use --format safetensors, which has the weights of every model"


@dataclasses.dataclass(frozen=True)
class Weight:
    """The values of a parameter.

    Attributes:
        sources: the names of our variables; several are stacked.
        shape: the shape of the parameter, where it is not that of the variables.
    """

    sources: tuple[str, ...]
    shape: tuple[int, ...] | None = None

    def under(self, scope: str) -> "Weight":
        """Returns the weight with a scope before the names."""
        return Weight(tuple(scope + name for name in self.sources), self.shape)


@dataclasses.dataclass(frozen=True)
class Part:
    """A class of the file for one layer.

    Attributes:
        base: the name of the class, unless another one has it.
        source: its text with `CLASS` in place of the name.
        weights: {parameter: Weight}, named under the layer's scope.
        needs: what else the file must have.
        arguments: those of the constructor for this layer.
        unused: variables that evaluation does not read.
    """

    base: str
    source: str
    weights: Mapping[str, Weight]
    needs: frozenset[str] = frozenset()
    arguments: str = ""
    unused: tuple[str, ...] = ()


class Settings:
    """The settings of a layer; each one must be read, or be known to have no effect.

    Args:
        owner: the layer's class, for messages.
        values: its settings.
    """

    def __init__(self, owner: str, values: Mapping[str, Any]) -> None:
        self.owner = owner
        self._values = values
        self._known = {"class"}

    def __call__(self, name: str, default: Any = None) -> Any:
        """Returns a setting."""
        self._known.add(name)
        return self._values.get(name, default)

    def without_effect(self, names: Iterable[str]) -> None:
        """Marks settings that act in training, or with others only."""
        self._known.update(names)

    def only(self, name: str, *allowed: Any) -> Any:
        """Returns a setting of which the file has only some values.

        Raises:
            UsageError: it has another one.
        """
        value = self(name, allowed[0])
        if value not in allowed:
            raise self.refusal(name, value, " or ".join(map(repr, allowed)))
        return value

    def check_all_known(self) -> None:
        """Raises a UsageError for a setting that nothing has read."""
        for name in self._values:
            if name not in self._known:
                raise self.refusal(name, self._values[name], "a setting that the file can have")

    def refusal(self, name: str, value: Any, expected: str) -> UsageError:
        """Returns the error of a setting that the file cannot have."""
        return UsageError(
            f"{self.owner}.{name} = {value!r} cannot be written as PyTorch: expected {expected}"
            f"{_HINT}"
        )


def refusal(what: str) -> UsageError:
    """Returns the error of a model that the file cannot have."""
    return UsageError(f"{what} cannot be written as PyTorch{_HINT}")
