"""Background jobs that train a model on for a minute; what learns, with torch, is in `learning`."""
