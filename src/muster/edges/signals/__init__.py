"""The addresses at which receivers of shared signals set up their stream and fetch what waits for them."""
