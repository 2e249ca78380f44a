"""A placeholder for sizes without a value: building a model that uses one raises an error."""

from typing import NoReturn

import gin


@gin.configurable
def unset_size() -> NoReturn:
    """Stands in gin/defaults.gin for a size that only some models need.

    Raises:
        ValueError: always, with the name of the size: gin evaluates `size = @unset_size()` in a
            scope of that name, when a layer reads the size.
    """
    size = gin.current_scope()[-1]
    raise ValueError(
        f"{size} is not set, and this model needs it: give a file of sizes/ that sets it "
        f'(sizes/tiny.gin sets them all), or --gin_param="{size} = ..."'
    )
