"""Settings of the fraud scorer, in a module of their own: reading a config file loads no torch."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from recsys.config import config_class


@config_class
class AutoencoderConfig:
    """What the transaction autoencoder is, and how it is trained."""

    embedding_dim: int = Field(default=16, ge=2)
    """Width of the embedding of a transaction."""
    hidden_dims: tuple[int, ...] = Field(default=(64,), min_length=1)
    """Widths of the hidden layers, of the encoder and of the head of each column."""
    mask_rate: float = Field(default=0.3, ge=0, lt=1)
    """Share of target cells that training hides from the encoder."""
    swap_rate: float = Field(default=0.1, ge=0, lt=1)
    """Share of target cells that training replaces by the value of another row."""
    unseen_rate: float = Field(default=0.05, ge=0, lt=1)
    """Share of categorical cells that training shows to the encoder as a term never seen."""
    trim_share: float = Field(default=0.02, ge=0, lt=1)
    """Share of each batch, the rows of the highest loss, that training does not learn from."""
    max_rows_per_account: float = Field(default=4.0, gt=0)
    """Largest total weight of an account's rows, in multiples of the median account's rows."""
    max_rows: int = Field(default=200_000, ge=1)
    """Rows to train on at most, drawn at random."""
    num_steps: int = Field(default=500, ge=1)
    """Steps of training at least; the last pass over the rows is finished."""
    batch_size: int = Field(default=2048, ge=1)
    """Rows in a batch at most; of few rows a fortieth, but 128 if there are as many."""
    learning_rate: float = Field(default=0.01, gt=0)
    """Step size of Adam at the start; it falls to a twentieth."""

    @model_validator(mode="after")
    def _some_cells_stay_as_they_are(self) -> Self:
        if self.mask_rate + self.swap_rate >= 1:
            raise ValueError(
                "expected mask_rate and swap_rate to sum to less than 1, "
                f"got {self.mask_rate} and {self.swap_rate}; lower one of them"
            )
        return self


@config_class
class ProfilesConfig:
    """The state of each account, and what it is compared with."""

    strength: float = Field(default=20.0, gt=0)
    """Weight of the peers' behaviour beside the account's own, as a number of transactions."""
    num_clusters: int = Field(default=16, ge=1)
    """Clusters of transaction embeddings, of which each account has its own mixture."""
    cold_transactions: int = Field(default=20, ge=0)
    """Known transactions below which an account is marked cold."""


@config_class
class ScoringConfig:
    """How evidence becomes a score."""

    calibration_share: float = Field(default=0.2, gt=0, lt=1)
    """Share of the training time, its end, that scores are calibrated on."""
    max_calibration_days: float = Field(default=90.0, gt=0)
    """Days of it at most."""
    learn_episodes: Literal["auto", "never"] = "auto"
    """Whether evidence may be combined by trees that learn from neighbouring transactions; auto
    uses them if they do clearly better than weights on accounts they did not see."""
    num_rounds: int = Field(default=60, ge=1)
    """Trees."""
    min_rows_per_leaf: int = Field(default=200, ge=1)
    """Transactions that a leaf stands for at least."""


@config_class
class MetaModelConfig:
    """How the trees over all evidence are fitted."""

    num_rounds: int = Field(default=300, ge=1)
    """Trees."""
    learning_rate: float = Field(default=0.05, gt=0, le=1)
    """Share of each tree's step that is taken."""
    num_leaves: int = Field(default=15, ge=2)
    """Leaves of a tree."""
    min_rows_per_leaf: int = Field(default=100, ge=1)
    """Transactions that a leaf stands for at least; of few rows a hundredth."""
    num_bins: int = Field(default=1023, ge=2)
    """Values of a feature that the trees distinguish; too few would merge the rare, high
    amounts."""
    shrinkage: float = Field(default=10.0, ge=0)
    """L2 penalty on the values of leaves."""
    max_legitimate_rows: int = Field(default=100_000, ge=1)
    """Legitimate rows to learn from at most, drawn at random and weighted for all of them."""
    min_frauds: int = Field(default=20, ge=1)
    """Known frauds below which no meta-model is fitted."""


@config_class
class LabelsConfig:
    """What is done with confirmed labels, where a table of them is given."""

    delay_days: float = Field(default=7.0, ge=0, le=36_525)
    """Days after a transaction from which on its label counts as known."""
    meta_model: MetaModelConfig = Field(
        default=MetaModelConfig(), validation_alias="stacker", serialization_alias="stacker"
    )
    """The meta-model: trees over evidence and labels together."""


@config_class
class FraudConfig:
    """What to train."""

    autoencoder: AutoencoderConfig = AutoencoderConfig()
    """The embedding of transactions."""
    profiles: ProfilesConfig = ProfilesConfig()
    """What is normal for an account."""
    scoring: ScoringConfig = ScoringConfig()
    """How evidence becomes a score."""
    labels: LabelsConfig = LabelsConfig()
    """What is done with confirmed labels."""
    seed: int = Field(default=0, ge=0, lt=1 << 32)
    """Seed of everything random."""
