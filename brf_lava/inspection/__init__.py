"""What files are, how two networks differ, and an HTML page about networks."""
