"""Read models: trades, performance, statements, pool boards; rebuilt from events, never asked for truth."""
