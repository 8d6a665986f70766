"""The equations: each neuron once per number system. Imports no array library."""
