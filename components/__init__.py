"""The platform's Pulumi components, one a file; `__main__.py` puts them in order.

`stack_config.py` gives them their input, `remote.py` their way into the droplets.
"""
