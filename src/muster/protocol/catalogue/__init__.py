"""Facts of the commands that Apple defines: their keys, and where each is known."""
