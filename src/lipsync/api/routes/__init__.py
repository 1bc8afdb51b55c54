"""What answers at which path, one file per noun."""
