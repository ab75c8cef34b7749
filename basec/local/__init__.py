"""Stacks on this machine: their cloud, their rendered files, and the trust of browsers in them."""
