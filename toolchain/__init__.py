"""How a machine comes by the Pulumi CLI; `python -m toolchain` prints its path."""
