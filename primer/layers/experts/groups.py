"""Splits tokens into groups, and moves them between processors that hold groups and experts.

GShard (https://arxiv.org/abs/2006.16668), section 2.2. A batch `[outer_batch, batch, length,
d_model]` becomes groups `[outer_batch, batch, group, d_model]` of at most `group_size` tokens, with
`batch` the number of groups: each group has its own capacity, and the tensors of the dispatch grow
with the square of a group. As in Mesh-TensorFlow, `outer_batch` is for copies of the experts. Where
experts and batch are split over the same axis of the mesh, the slots move by an all-to-all:

    [expert_unsplit, outer_batch, batch, expert_capacity, d_model]
      -> [experts, outer_batch, batch_unsplit, expert_capacity, d_model]
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import mesh_tensorflow as mtf

from primer.layers import mesh_layout
from primer.layers.experts import capacity


@dataclasses.dataclass(frozen=True)
class Groups:
    """The dimensions of tokens in groups.

    Attributes:
        lead_dims: the dimensions before the batch, which stay as they are.
        batch_dim: the groups, named like the dimension of the batch that they come from.
        group_dim: the tokens of a group.
        model_dim: the features.
        shape: the Shape that the tokens had.
    """

    lead_dims: list[mtf.Dimension]
    batch_dim: mtf.Dimension
    group_dim: mtf.Dimension
    model_dim: mtf.Dimension
    shape: mtf.Shape

    @property
    def dims(self) -> list[mtf.Dimension]:
        """The dimensions without d_model."""
        return [*self.lead_dims, self.batch_dim, self.group_dim]

    def to_groups(self, x: mtf.Tensor) -> mtf.Tensor:
        """Reshapes x to groups, with d_model or without it."""
        with_model = [self.model_dim] if self.model_dim in x.shape.dims else []
        return mtf.reshape(x, self.dims + with_model)  # [outer_batch, batch, group, d_model]

    def from_groups(self, x: mtf.Tensor) -> mtf.Tensor:
        """Reshapes x in groups to the shape that the tokens had."""
        return mtf.reshape(x, self.shape)  # [batch, length, d_model]


def of_batch(x: mtf.Tensor, group_size: int, model: Any, name: str = "group") -> Groups:
    """Returns the Groups of x `[outer_batch, batch, ..., d_model]`; adds a missing outer_batch.

    Args:
        x: a Tensor.
        group_size: the largest number of tokens in a group.
        model: a Unitransformer, for its layout.
        name: the name of the dimension of the tokens in a group.
    """
    if x.shape.dims[0].name == "outer_batch":
        return after_lead_dims(x, 1, group_size, model, name)
    outer_dim = mtf.Dimension("outer_batch", 1)
    groups = after_lead_dims(x, 0, group_size, model, name)
    return dataclasses.replace(groups, lead_dims=[outer_dim])


def after_lead_dims(x: mtf.Tensor, num_lead: int, group_size: int, model: Any, name: str) -> Groups:
    """Returns the Groups of x `[num_lead dimensions, batch, ..., d_model]`; the rest as above."""
    lead_dims, token_dims = x.shape.dims[:num_lead], x.shape.dims[num_lead:-1]
    batch_dim = token_dims[0]
    num_tokens = mtf.Shape(token_dims).size
    splits = mesh_layout.num_splits(model, batch_dim)
    count, size = split_into_groups(num_tokens, group_size, splits)
    batch_dim, group_dim = mtf.Dimension(batch_dim.name, count), mtf.Dimension(name, size)
    return Groups(lead_dims, batch_dim, group_dim, x.shape.dims[-1], x.shape)


def split_into_groups(num_tokens: int, max_group_size: int, multiple: int) -> tuple[int, int]:
    """Returns (number of groups, group size).

    Args:
        num_tokens: the number of tokens of a batch.
        max_group_size: the largest number of tokens in a group; groups are as large as possible.
        multiple: the number of processors that hold groups; it divides the number of groups.

    Raises:
        ValueError: the tokens cannot be distributed evenly over the processors.
    """
    if num_tokens % multiple:
        raise ValueError(
            f"a batch of {num_tokens} tokens cannot be split evenly over {multiple} processors: "
            f"choose a batch size of which {multiple} is a divisor"
        )
    groups = max(1, num_tokens // max_group_size)
    while groups % multiple or num_tokens % groups:
        groups += 1
    return groups, num_tokens // groups


@dataclasses.dataclass(frozen=True)
class Exchange:
    """The Shapes of the experts' slots before and after the all-to-all.

    Attributes:
        grouped: `[expert_unsplit, outer_batch, batch, expert_capacity, d_model]`, split by groups.
        expert: `[experts, outer_batch, batch_unsplit, expert_capacity, d_model]`, by experts.
    """

    grouped: mtf.Shape
    expert: mtf.Shape

    def to_experts(self, x: mtf.Tensor, plan: capacity.Plan) -> mtf.Tensor:
        """Moves tokens x `[..., group, d_model]` to their slots, with the Shape `expert`."""
        slots = mtf.einsum([x, plan.dispatch], self.grouped)
        return mtf.reshape(slots, self.expert)

    def to_tokens(self, y: mtf.Tensor, plan: capacity.Plan, shape: mtf.Shape) -> mtf.Tensor:
        """Combines the experts' outputs for their slots to tokens; zero for a token without slot.

        Args:
            y: a Tensor of the Shape `expert`.
            plan: a capacity.Plan.
            shape: the Shape of the tokens, `[..., group, d_model]`.
        """
        return mtf.einsum([mtf.reshape(y, self.grouped), plan.combine], shape)


def exchange(
    grouped_dims: Sequence[mtf.Dimension],
    unsplit_dim: mtf.Dimension,
    experts_dim: mtf.Dimension,
    model: Any,
) -> Exchange:
    """Returns the Exchange of slots `grouped_dims`, in which experts_dim replaces unsplit_dim."""
    others = unsplit(grouped_dims, [experts_dim], model)
    expert_dims = [experts_dim if d == unsplit_dim else d for d in others]
    return Exchange(mtf.Shape(grouped_dims), mtf.Shape(expert_dims))


def unsplit(
    dims: Sequence[mtf.Dimension], experts_dims: Sequence[mtf.Dimension], model: Any
) -> list[mtf.Dimension]:
    """Renames the dims that share a mesh axis with the experts, so that no layout splits them."""
    axes = {mesh_layout.mesh_axis(model, d) for d in experts_dims} - {None}

    def renamed(dim: mtf.Dimension) -> mtf.Dimension:
        taken = mesh_layout.mesh_axis(model, dim) in axes
        return mtf.Dimension(dim.name + "_unsplit", dim.size) if taken else dim

    return [renamed(dim) for dim in dims]
