"""The stand-in for the provider of remote commands."""
