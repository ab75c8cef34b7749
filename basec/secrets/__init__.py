"""The stack's file: plain settings and encrypted secrets, how they are made, and what opens them."""
