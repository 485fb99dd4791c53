"""Charts as pure functions from DataFrame to Altair, a module a page."""
