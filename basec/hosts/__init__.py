"""The droplets, reached by SSH and by https: what an `up` left of them, and what is asked of them."""
