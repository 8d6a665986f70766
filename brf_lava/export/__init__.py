"""From a trained network to integers and to the file that carries them."""
