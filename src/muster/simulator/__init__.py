"""Apple's devices and services as they behave on the wire, for laboratories, demonstrations and tests."""
