"""Programs for those who maintain Muster; nothing of the service imports them."""
