"""Measure how well the model reads digits that it has not seen."""

import json

import joblib
import numpy

table = numpy.loadtxt("data/test.csv", delimiter=",")
labels, images = table[:, 0], table[:, 1:]
model = joblib.load("model/model.joblib")
accuracy = float(model.score(images, labels))
with open("metrics.json", "w") as file:
    json.dump({"accuracy": accuracy, "digits": len(labels)}, file, indent=2)
print(f"accuracy {accuracy:.3f}")
