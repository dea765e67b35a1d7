"""Inventory: what devices say of themselves when they are asked, what of it is kept, and when they are asked."""
