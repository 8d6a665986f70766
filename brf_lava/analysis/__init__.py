"""What pictures show, as plain arrays, and how it is drawn: a module for each picture."""
