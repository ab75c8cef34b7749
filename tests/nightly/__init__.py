"""What takes too long for `make test`: full counts and long chaos, run by `make nightly`; the results are kept here."""
