"""The pictures: each function draws one dataclass of `brf_lava.analysis` into a given figure.

Importing this package requires the extra ``plot``, so every command that draws checks for it first.
"""

from brf_lava.io.extras import require_extra

require_extra("plot", "matplotlib")
