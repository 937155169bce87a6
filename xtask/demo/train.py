"""Learn to read digits from the training table."""

import argparse
from pathlib import Path

import joblib
import numpy
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

parser = argparse.ArgumentParser()
parser.add_argument("--regularization", type=float, default=1.0)
arguments = parser.parse_args()

table = numpy.loadtxt("data/train.csv", delimiter=",")
labels, images = table[:, 0], table[:, 1:]
model = make_pipeline(
    StandardScaler(),
    LogisticRegression(C=1 / arguments.regularization, max_iter=500),
)
model.fit(images, labels)
Path("model").mkdir(exist_ok=True)
joblib.dump(model, "model/model.joblib")
print(f"trained on {len(labels)} digits")
