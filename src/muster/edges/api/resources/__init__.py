"""What the interface has, a module for each kind of thing."""
