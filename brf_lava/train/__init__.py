"""Training in torch: model, metrics, the loop over epochs, checkpoints."""
