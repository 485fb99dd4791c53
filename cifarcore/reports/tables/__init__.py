"""Tables as DataFrames, a module a page: what pages, reports and the notebook show."""
