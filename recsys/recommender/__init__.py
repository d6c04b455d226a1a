"""The two-tower recommender: model, index, lists, evaluation."""
