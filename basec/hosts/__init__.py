"""The droplets, reached by SSH and https: the files of the last `up` about them, and what they are asked."""
