"""The chapters' runnable projects, one file each, training loop in sight. This page is the folder's plugin face."""

from __future__ import annotations

from tinygrad_edu.hookspecs import Project, hookimpl


@hookimpl
def register_projects() -> dict[str, Project]:
    """The projects that come with the project: `tinygrad-edu run NAME`."""
    return {
        "cartpole": Project(
            module="tinygrad_edu.scripts.ch11_cartpole",
            chapter="11",
            summary="A pole balanced on a cart by REINFORCE, DQN or PPO, compared over seeds and with torch",
        ),
        "classify-text": Project(
            module="tinygrad_edu.scripts.ch08_classify_text",
            chapter="8",
            summary="A recurrent network with attention classifies sentences; where it looked, traced and drawn",
        ),
        "compare-torch": Project(
            module="tinygrad_edu.scripts.ch07_compare_torch",
            chapter="7",
            summary="The same network in torch and here: sources, losses, times and every gradient side by side",
        ),
        "cluster": Project(
            module="tinygrad_edu.scripts.ch05_cluster",
            chapter="5",
            summary="Groups found without labels: PCA to two dimensions, k-means turn by turn, true labels beside",
        ),
        "digits": Project(
            module="tinygrad_edu.scripts.ch07_digits",
            chapter="7",
            summary="A multi-layer perceptron learns to read handwritten digits",
        ),
        "forest": Project(
            module="tinygrad_edu.scripts.ch06_forest",
            chapter="6",
            summary="A hundred trees vote; single tree and boosting beside them, boundaries and stages drawn",
        ),
        "generate": Project(
            module="tinygrad_edu.scripts.ch12_generate",
            chapter="12",
            summary="A recurrent network with attention learns a text, and writes more of it from your beginning",
        ),
        "gradient-descent": Project(
            module="tinygrad_edu.scripts.ch02_gradient_descent",
            chapter="2",
            summary="A point goes down a function by its gradient, which formula, difference and Tensor agree on",
        ),
        "gridworld": Project(
            module="tinygrad_edu.scripts.ch11_gridworld",
            chapter="11",
            summary="An agent learns its way through a grid by Q-learning or SARSA; the exact answer beside it",
        ),
        "moons": Project(
            module="tinygrad_edu.scripts.ch07_moons",
            chapter="7",
            summary="micrograd's demo: a network, or a perceptron, separates two moons",
        ),
        "pong": Project(
            module="tinygrad_edu.scripts.ch11_pong",
            chapter="11",
            summary="A small convolutional network learns Atari's Pong from pixels, and beats the built-in player",
        ),
        "features": Project(
            module="tinygrad_edu.scripts.ch08_features",
            chapter="8",
            summary="A convolutional network learns pictures; its filters and every layer's feature maps drawn",
        ),
        "optimize": Project(
            module="tinygrad_edu.scripts.ch09_optimize",
            chapter="9",
            summary="A NumPy network profiled, and its matrix product sped up in C++ step by step",
        ),
        "preprocess": Project(
            module="tinygrad_edu.scripts.ch03_preprocess",
            chapter="3",
            summary="A CSV file of mixed columns made into arrays: missing values, scales, categories, a fair split",
        ),
        "statistics": Project(
            module="tinygrad_edu.scripts.ch03_statistics",
            chapter="3",
            summary="Chance drawn and measured: distributions, large numbers, tests from scratch beside SciPy's",
        ),
        "text-analyzer": Project(
            module="tinygrad_edu.scripts.ch01_text_analyzer",
            chapter="1",
            summary="A text taken apart in core Python: how often each word occurs, sentences, capitals, punctuation",
        ),
        "productionize": Project(
            module="tinygrad_edu.scripts.ch10_productionize",
            chapter="10",
            summary="Logistic regression saved, served over HTTP, asked and timed, beside the usual small Flask app",
        ),
        "predict": Project(
            module="tinygrad_edu.scripts.ch04_predict",
            chapter="4",
            summary="A number or a class foretold from a table in five ways, scikit-learn's figures beside ours",
        ),
        "transformer": Project(
            module="tinygrad_edu.scripts.ch12_transformer",
            chapter="12",
            summary="A transformer learns to write; the flow through one of its blocks, and its attention, drawn",
        ),
        "vae": Project(
            module="tinygrad_edu.scripts.ch12_vae",
            chapter="12",
            summary="A variational autoencoder learns to draw digits that nobody wrote",
        ),
    }
