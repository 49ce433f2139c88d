"""One module per family of cases; `cases()` lists them."""
