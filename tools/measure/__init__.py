"""What the structure of the code costs a reader, counted from the sources."""
