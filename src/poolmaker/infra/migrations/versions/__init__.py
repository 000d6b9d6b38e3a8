"""The chain of revisions, oldest first. A released revision is never edited."""
