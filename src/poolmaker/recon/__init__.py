"""Pure comparisons: open orders against the shadow ledger, ledger against custody; incidents."""
