"""Data sets: their arrays, where they are looked for, and how they are downloaded."""
