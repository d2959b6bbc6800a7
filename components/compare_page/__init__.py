"""Two runs side by side: `comparison` finds what differs, `page` shows it."""
