"""What the service does, one verb to a file: each operation is one transaction and a plain function."""
