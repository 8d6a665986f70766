"""Lava on this computer."""
