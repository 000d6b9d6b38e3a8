"""Server-rendered pages of Poolmaker."""
