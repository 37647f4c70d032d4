"""CIoU in a PyTorch loop: KERAS_BACKEND=torch python scripts/examples/torch_adam.py"""

import torch
from problem import BOXES, EPSILON, RATE, STEPS, data, finish, start

import boxloss


def main(argv=None):
    x, y_true = (torch.tensor(array) for array in data())
    weights = [torch.tensor(weight, requires_grad=True) for weight in start()]
    loss, optimizer = boxloss.CIoULoss(), torch.optim.Adam(weights, RATE, eps=EPSILON)
    losses = []
    for _ in range(STEPS):
        hidden = torch.tanh(x @ weights[0] + weights[1])
        y_pred = torch.reshape(hidden @ weights[2] + weights[3], (-1, BOXES, 4))
        optimizer.zero_grad()
        value = loss(y_true, y_pred)
        value.backward()
        optimizer.step()
        losses.append(value.item())
    finish(argv, losses, [weight.detach().numpy() for weight in weights])


if __name__ == "__main__":
    main()
