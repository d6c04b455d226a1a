"""Neural building blocks shared by the recommender and the fraud scorer."""
