"""Primitives: what may happen in a scenario, by whom or what it befalls. `table` has all of them."""
