"""The doors for devices: check-in and connect, SCEP, and enrollment links, as one bare ASGI application."""
