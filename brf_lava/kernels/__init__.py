"""The loop over time: `layer.run_layer` for torch, `loop.forward` for plain arrays."""
