"""What we know, kept: one interface over two engines, one schema, one module of statements per aggregate."""
