"""Labels as rows of files, and what the files' names mean."""
