"""The fraud scorer: an autoencoder of transactions, and alerts for people to look into."""
