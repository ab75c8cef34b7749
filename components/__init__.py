"""The platform's Pulumi components, one a file; `__main__.py` puts them in order."""
