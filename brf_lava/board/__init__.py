"""Whether a network fits a board, and what it would cost there, from public limits."""
