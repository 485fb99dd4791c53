"""One module for each family of files of predictions; `formats` chooses among them by the suffix."""
