"""By this module Lava recognizes the extension."""
