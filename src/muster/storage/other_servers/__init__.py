"""What other servers keep of their enrollments, read where they keep it and never written."""
