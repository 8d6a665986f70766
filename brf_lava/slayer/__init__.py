"""Neurons and blocks with the interface of lava-dl's SLAYER; lava-dl itself is not needed."""
