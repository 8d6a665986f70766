"""From a trained network in real numbers to integers."""
