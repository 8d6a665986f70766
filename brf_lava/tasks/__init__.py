"""The tasks a network is trained on: where their data come from and how they become spikes."""
