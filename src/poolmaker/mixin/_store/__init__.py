"""The Mixin client in PostgreSQL: what was walked, and the journal of payments."""
