"""The transaction embedding: inputs, autoencoder, and its distance from normal clusters."""
