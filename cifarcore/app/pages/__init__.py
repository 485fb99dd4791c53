"""One module a page, in the order in which the page is read."""
