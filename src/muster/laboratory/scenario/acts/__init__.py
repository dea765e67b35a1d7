"""Acts: how each primitive is played, by kind. `table` has all of them."""
