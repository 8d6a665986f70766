"""What pictures show, as plain arrays in frozen dataclasses; `draw` turns them into pictures."""
