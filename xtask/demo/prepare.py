"""Split scikit-learn's handwritten digits into a training and a test table."""

import csv
from pathlib import Path

from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split


def write_table(path, images, labels):
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        for label, pixels in zip(labels, images):
            writer.writerow([int(label), *(int(pixel) for pixel in pixels)])


digits = load_digits()
train_images, test_images, train_labels, test_labels = train_test_split(
    digits.data, digits.target, test_size=0.25, random_state=0, stratify=digits.target
)
Path("data").mkdir(exist_ok=True)
write_table("data/train.csv", train_images, train_labels)
write_table("data/test.csv", test_images, test_labels)
print(f"{len(train_labels)} digits to learn from, {len(test_labels)} to test with")
