"""How a database gets from one version's schema to the next; read by Alembic, never imported."""
