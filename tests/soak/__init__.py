"""The soak: a site under faults for minutes, and its accounting."""
