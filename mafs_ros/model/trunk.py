"""What the encoder needs of a backbone."""

from __future__ import annotations

from torch import Tensor, nn


class Trunk(nn.Module):
    """A backbone without its classifier: a stem at stride 2, then stages at strides 4 to 32.

    stem_width: channels after the stem. widths: channels after each stage.
    """

    stem: nn.Module
    stem_width: int
    widths: tuple[int, ...]

    def __init__(self) -> None:
        super().__init__()
        self.stages = nn.ModuleList()

    def stage(self, index: int, x: Tensor) -> Tensor:
        """Run stage 0 to 3; every stage halves the resolution."""
        return self.stages[index](x)
