"""What one viewer has whatever it shows: session, jobs, status line, keys, preferences, undo history."""
