"""All settings of a training."""

from __future__ import annotations

import dataclasses

from ..errors import InputError
from ..nn.hamiltonian import HamiltonianConfig
from ..options import check_types, choose, positive_whole, require_not_negative, require_positive
from .loss import LossConfig
from .split import WAYS
from .step import GradientSettings

KINDS = ("adamw", "muon")


@dataclasses.dataclass(frozen=True)
class OptimizerConfig:
    """How the weights change, the schedule, and the moving average of the weights."""

    kind: str = "adamw"
    """'adamw', or 'muon', which needs far fewer steps, for the matrices inside the network."""
    learning_rate: float = 1e-3
    """Largest learning rate."""
    final_learning_rate: float = 1e-5
    """At the end of the cosine decay."""
    warm_up: int = 200
    """Steps of linear growth of the learning rate."""
    weight_decay: float = 1e-6
    """Decoupled L2 decay of the weights."""
    clip: float = 10.0
    """Largest norm of the gradient."""
    average: float = 0.999
    """Decay of the moving average of the weights, which is what is validated and kept."""

    def __post_init__(self) -> None:
        """Refuse unknown optimisers, and steps that lead nowhere."""
        check_types(self)
        choose(self, "kind", KINDS)
        require_positive(self, "clip")
        require_not_negative(
            self, "learning_rate", "final_learning_rate", "warm_up", "weight_decay", "average"
        )
        if self.average >= 1.0:
            raise InputError(f"average is {self.average}: give a number from 0 to below 1")


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """A training: model, loss, optimiser, data handling."""

    model: HamiltonianConfig = HamiltonianConfig()
    """Form of the Hamiltonian."""
    loss: LossConfig = LossConfig()
    """Weights of the loss."""
    gradient: GradientSettings = GradientSettings()
    """Accuracy of the gradient."""
    optimizer: OptimizerConfig = OptimizerConfig()
    """Optimiser."""
    freeze_table: bool = True
    """A training that starts from a model keeps the table of the elements as it is."""
    tensor_order: int | None = None
    """Raises the order of the tensor sensitivities of the model that a training starts from, which
    begins with the same results."""
    smoothing: float | None = None
    """Changes that of the tensor sensitivities of the model that a training starts from, which
    begins with other results."""
    repeats: tuple[float, ...] = ()
    """How often the frames of each data file are taken in an epoch, in the order of the files; of a
    fraction as many frames as it says, drawn once; files that are not listed are taken once."""
    contacts: tuple[bool, ...] = ()
    """Whether the forces between the molecules of a frame are learned, for each data file; yes for
    those that are not listed."""
    batch_size: int = 64
    """Frames of a step."""
    chunk_size: int = 32
    """Frames computed together by one thread; a GPU takes sixteen times as many."""
    epochs: int = 10
    """Passes through the training frames."""
    patience: int = 10
    """Epochs without a better validation loss after which it stops."""
    validation_fraction: float = 0.05
    """Share of the fragments, or frames, that are kept for validation."""
    split_by: str = "fragment"
    """What is kept for validation: 'fragment', molecules that are new to the model, or 'frame', any
    frames, for a model of a few molecules that need be right for nothing else."""
    max_validation: int = 2000
    """At most so many frames are validated after every epoch."""
    split_seed: int = 0
    """Decides which fragments, or frames, are kept for validation."""
    seed: int = 0
    """Of the initial weights and of the order of the frames."""
    keep_densities: bool = True
    """Start the SCF from the density of the last epoch; of unrestricted molecules this follows the
    state that was the lowest at first."""
    checkpoint_seconds: float = 60.0
    """Time between checkpoints."""

    def __post_init__(self) -> None:
        """Refuse what trains nothing."""
        check_types(self)
        choose(self, "split_by", WAYS)
        require_positive(self, "smoothing")
        if self.tensor_order not in (None, 0, 1, 2):
            raise InputError(f"tensor_order is {self.tensor_order}: give 0, 1 or 2")
        if not 0.0 <= self.validation_fraction < 1.0:
            raise InputError(
                f"validation_fraction is {self.validation_fraction}: give a number from 0 to below "
                "1"
            )
        if self.checkpoint_seconds < 0.0:
            raise InputError(f"checkpoint_seconds is {self.checkpoint_seconds}: give zero or more")
        for times in self.repeats:
            if not 0.0 <= times < float("inf"):
                raise InputError(f"repeats holds {times}: give numbers of zero or more")
        for name in ("seed", "split_seed"):
            if not 0 <= getattr(self, name) < 2**63:
                raise InputError(f"{name} is {getattr(self, name)}: give 0 or more, below 2**63")
        for name in ("batch_size", "chunk_size", "epochs", "patience", "max_validation"):
            positive_whole(name, getattr(self, name))

    @property
    def split(self) -> tuple[float, int, str]:
        """What :func:`~ase_mlseqm.training.split.split` wants to know."""
        return self.validation_fraction, self.split_seed, self.split_by
