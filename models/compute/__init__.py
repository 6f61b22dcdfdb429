"""What computes a job: the GPU door, the relay to an event loop, loaded models, and whose turn it is."""
