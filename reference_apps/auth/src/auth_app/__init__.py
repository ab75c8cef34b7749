"""Reference implementation of the auth application: who a tenant is, and who may log in to it."""
