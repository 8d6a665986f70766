"""The torch layers that training uses."""
