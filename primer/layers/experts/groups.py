"""Tokens in groups, and their way from the processors that hold groups to those that hold experts.

A batch `[outer_batch, batch, length, d_model]` becomes groups
`[outer_batch, batch, group, d_model]` of at most `group_size` tokens, `batch` being their number:
capacity is counted for each, and the tensors that plan the dispatch grow with the square of a
group. As in Mesh-TensorFlow, `outer_batch` is for copies of the experts. Where experts and batch
are split over the same axis of the mesh, the places move by an all-to-all:

    [outer_batch, expert_unsplit, batch, expert_capacity, d_model]
      -> [outer_batch, experts, batch_unsplit, expert_capacity, d_model]
"""

import dataclasses

import mesh_tensorflow as mtf


@dataclasses.dataclass(frozen=True)
class Groups:
    """The dimensions of tokens in groups.

    Attributes:
        lead_dims: what stays as it is.
        batch_dim: the groups, named like the dimension of the batch that they come from.
        group_dim: the tokens of a group.
        model_dim: the features.
        shape: the Shape that the tokens had.
    """

    lead_dims: list
    batch_dim: mtf.Dimension
    group_dim: mtf.Dimension
    model_dim: mtf.Dimension
    shape: mtf.Shape

    @property
    def dims(self):
        return [*self.lead_dims, self.batch_dim, self.group_dim]

    def gather(self, x):
        """x in groups, with d_model or without it."""
        with_model = [self.model_dim] if self.model_dim in x.shape.dims else []
        return mtf.reshape(x, self.dims + with_model)

    def restore(self, x):
        """x in groups as it was before `gather`."""
        return mtf.reshape(x, self.shape)


def of_batch(x, group_size, model, name="group"):
    """The Groups of x `[outer_batch, batch, ..., d_model]`; outer_batch is added where it lacks."""
    if x.shape.dims[0].name == "outer_batch":
        return of(x, 1, group_size, model, name)
    outer_dim = mtf.Dimension("outer_batch", 1)
    groups = of(x, 0, group_size, model, name)
    return dataclasses.replace(groups, lead_dims=[outer_dim])


def of(x, num_lead, group_size, model, name):
    """The Groups of x `[num_lead dimensions, batch, ..., d_model]`."""
    lead_dims, token_dims = x.shape.dims[:num_lead], x.shape.dims[num_lead:-1]
    batch_dim = token_dims[0]
    num_tokens = mtf.Shape(token_dims).size
    count, size = split_into_groups(num_tokens, group_size, num_parts(model, batch_dim))
    batch_dim, group_dim = mtf.Dimension(batch_dim.name, count), mtf.Dimension(name, size)
    return Groups(lead_dims, batch_dim, group_dim, x.shape.dims[-1], x.shape)


def split_into_groups(num_tokens, max_group_size, multiple):
    """Returns (number of groups, group size) for num_tokens.

    Groups are as large as possible, at most max_group_size, and their number is a multiple of
    `multiple`, the number of processors they are spread over.
    """
    if num_tokens % multiple:
        raise ValueError(
            f"a batch of {num_tokens} tokens cannot be spread over {multiple} processors: choose a "
            "batch size that is a multiple"
        )
    groups = max(1, num_tokens // max_group_size)
    while groups % multiple or num_tokens % groups:
        groups += 1
    return groups, num_tokens // groups


@dataclasses.dataclass(frozen=True)
class Exchange:
    """The Shapes of places on both sides of the exchange: as groups see them, and as experts do."""

    grouped: mtf.Shape
    expert: mtf.Shape

    def to_experts(self, x, plan):
        """The tokens x `[..., group, d_model]` at their places by a capacity.Plan."""
        return mtf.reshape(mtf.einsum([x, plan.dispatch], self.grouped), self.expert)

    def to_tokens(self, y, plan, shape):
        """What the experts made of the places, as tokens of this Shape; zero where one has none."""
        return mtf.einsum([mtf.reshape(y, self.grouped), plan.combine], shape)


def exchange(grouped_dims, unsplit_dim, experts_dim, model):
    """The Exchange of places with grouped_dims, of which unsplit_dim becomes experts_dim."""
    others = unsplit(grouped_dims, [experts_dim], model)
    expert_dims = [experts_dim if d == unsplit_dim else d for d in others]
    return Exchange(mtf.Shape(grouped_dims), mtf.Shape(expert_dims))


def unsplit(dims, experts_dims, model):
    """The dims, those renamed that are split over the same axes of the mesh as the experts are."""
    axes = {mesh_axis(model, d) for d in experts_dims} - {None}

    def free(dim):
        taken = mesh_axis(model, dim) in axes
        return mtf.Dimension(dim.name + "_unsplit", dim.size) if taken else dim

    return [free(dim) for dim in dims]


def mesh_axis(model, dim):
    """The index of the mesh's axis over which the model's layout splits dim, or None."""
    if model.layout is None or model.mesh_shape is None:
        return None
    layout = mtf.convert_to_layout_rules(model.layout)
    return layout.tensor_dimension_to_mesh_axis(dim, mtf.convert_to_shape(model.mesh_shape))


def num_parts(model, dim):
    """Over how many processors the model's layout splits dim."""
    axis = mesh_axis(model, dim)
    return 1 if axis is None else mtf.convert_to_shape(model.mesh_shape).dims[axis].size
