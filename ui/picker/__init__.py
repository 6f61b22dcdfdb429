"""The sidebar: what is picked, its plan, and what is in memory."""
