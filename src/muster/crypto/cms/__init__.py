"""Cryptographic Message Syntax (RFC 5652): signed and enveloped messages as devices send them."""
