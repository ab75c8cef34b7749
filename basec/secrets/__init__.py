"""The stack's file: settings in clear and secrets encrypted, how they are made, and what opens them."""
