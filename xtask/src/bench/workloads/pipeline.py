"""A small pipeline as people write them: raw table, features, training, evaluation."""
import pickle
import numpy as np
import pandas as pd

rng = np.random.default_rng(7)
rows = 60_000
raw = pd.DataFrame({f"x{i}": rng.normal(size=rows) for i in range(12)})
raw["group"] = rng.integers(0, 50, rows)
raw["y"] = raw[[f"x{i}" for i in range(12)]].sum(axis=1) + rng.normal(size=rows) * 0.1
raw.to_csv("raw.csv", index=False)

table = pd.read_csv("raw.csv")
means = table.groupby("group").mean(numeric_only=True)
table = table.join(means, on="group", rsuffix="_mean")
table.to_parquet("features.parquet")

features = pd.read_parquet("features.parquet")
y = features.pop("y").to_numpy()
x = features.to_numpy()
x = np.column_stack([x, np.ones(len(x))])
weights = np.zeros(x.shape[1])
scale = x.std(axis=0) + 1e-9
x /= scale
for epoch in range(150):
    gradient = x.T @ (x @ weights - y) / len(y)
    weights -= 0.1 * gradient
    if epoch % 50 == 0:
        with open(f"checkpoint-{epoch}.pkl", "wb") as file:
            pickle.dump(weights, file)
with open("model.pkl", "wb") as file:
    pickle.dump({"weights": weights, "scale": scale}, file)
with open("metrics.json", "w") as file:
    file.write('{"error": %f}\n' % float(np.mean((x @ weights - y) ** 2)))
