"""Muster: Apple device management that knows whether each device is under control."""
