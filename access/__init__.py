"""Who may do what, and what was done: people, roles, sessions, shares and the log."""
