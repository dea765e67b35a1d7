"""What people meet on their way in: pages, the sign-in form, and the doors that give profiles."""
