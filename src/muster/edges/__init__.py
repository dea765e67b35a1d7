"""Where the service meets its peers: each package here speaks to one of them and knows none of the others."""
