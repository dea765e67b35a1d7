"""Certificates of Apple's authorities, as published by Apple, PEM."""
