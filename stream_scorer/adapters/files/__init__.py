"""What people bring and keep in files."""
