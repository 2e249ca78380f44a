"""What a size that nobody gave does: it stops the model that needs it, and no other."""

import gin


@gin.configurable
def unset_size():
    """The value of a size in gin/defaults.gin that only some models need.

    Raises:
        ValueError: always, with the name of the size: `size = @unset_size()` is evaluated in the
            scope of that name, when a layer asks for it.
    """
    size = gin.current_scope()[-1]
    raise ValueError(
        f"{size} is not set, and this model needs it: give a file of sizes/ that has it "
        f'(sizes/tiny.gin has them all), or --gin_param="{size} = ..."'
    )
