"""What a retraining learns, in the job's own process: the one part of it that needs torch."""
