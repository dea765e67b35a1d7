"""The composition root: settings become an engine, edges and workers; nothing else picks an implementation."""
