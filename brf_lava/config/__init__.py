"""Recipes and profiles: TOML texts with nothing undeclared in them."""
