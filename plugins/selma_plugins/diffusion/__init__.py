"""What the generator, the encoders and the trainer share: loading pipelines, naming their parts, fusing adapters."""
