"""From evidence to scores: tails, trees, scores of transactions and of account-days."""
