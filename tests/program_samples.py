"""A small program of torch.export, and the inputs that it declares."""

import io

import msgspec
import torch

from stream_scorer.core.features.spec import Category, FeatureSpec, Input, Number

INPUTS: tuple[Input, ...] = (
    Category("customer_id", ("ann", "bob"), from_id=True),
    Category("plan", ("free",)),
    Number("age", mean=40.0),
)


class Net(torch.nn.Module):
    """Looks two categories up and adds the age."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.people, self.plans = torch.nn.Embedding(3, 4), torch.nn.Embedding(2, 4)

    def forward(self, index: torch.Tensor, numbers: torch.Tensor) -> torch.Tensor:
        made: torch.Tensor = self.people(index[:, 0]) + self.plans(index[:, 1]) + numbers
        return made


def archive(net: torch.nn.Module | None = None, inputs: tuple[Input, ...] = INPUTS, **extra_files: str) -> bytes:
    declared = msgspec.json.encode({"inputs": FeatureSpec("customer", inputs).to_json()["inputs"]}).decode()
    example = (torch.zeros(64, 2, dtype=torch.int64), torch.zeros(64, 1))
    made = io.BytesIO()
    torch.export.save(
        torch.export.export(net or Net(), example), made, extra_files=extra_files or {"inputs.json": declared}
    )
    return made.getvalue()
