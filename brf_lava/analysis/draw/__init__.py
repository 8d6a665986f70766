"""How pictures look and reach a file. Importing this checks for the extra ``plot``."""

from brf_lava.io.extras import require_extra

require_extra("plot", "matplotlib")
