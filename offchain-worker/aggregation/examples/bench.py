"""numpy's side of the aggregation benchmark: holds the updates as one matrix, and does by name what it is told to.

Arguments: the elements of an update, how many hostile updates Krum withstands, how many values the trimmed mean drops
on each side, and the updates' files, whose elements are their last bytes. Reads operations from standard input, one per
line, and answers each with the seconds that it took, the processor seconds of all threads, and the sum of some of what
it gave.
"""

import sys
import time

import numpy as np

elements, hostile, trim = (int(a) for a in sys.argv[1:4])
paths = sys.argv[4:]
rows = len(paths)
X = np.empty((rows, elements), dtype=np.float32)
for row, path in zip(X, paths):
    with open(path, "rb") as file:
        file.seek(-4 * elements, 2)
        if file.readinto(row) != 4 * elements:
            sys.exit(f"{path} is too short")
samples = np.arange(1, rows + 1, dtype=np.float32)
# As many columns at once as stay in a processor's cache with all rows.
BLOCK = 16_384


def in_blocks(operation):
    """The operation on some columns at a time."""
    result = np.empty(elements, dtype=np.float32)
    for at in range(0, elements, BLOCK):
        result[at : at + BLOCK] = operation(np.ascontiguousarray(X[:, at : at + BLOCK]))
    return result


def median(columns):
    return np.median(columns, axis=0)


def trimmed_by_sort(columns):
    return np.sort(columns, axis=0)[trim : rows - trim].mean(axis=0)


def trimmed_by_partition(columns):
    parted = np.partition(columns, (trim, rows - trim - 1), axis=0)
    return parted[trim : rows - trim].mean(axis=0)


def krum(product):
    squares = np.diag(product)
    distances = squares[:, None] + squares[None, :] - 2 * product
    np.fill_diagonal(distances, np.inf)
    scores = np.sort(distances, axis=1)[:, : rows - hostile - 2].sum(axis=1)
    return X[scores.argmin()].copy()


def product_in_blocks():
    product = np.zeros((rows, rows), dtype=np.float32)
    for at in range(0, elements, 4 * BLOCK):
        columns = X[:, at : at + 4 * BLOCK]
        product += columns @ columns.T
    return product


OPERATIONS = {
    "weighted mean: matrix product": lambda: (samples / samples.sum()) @ X,
    "median: whole": lambda: median(X),
    "median: in blocks": lambda: in_blocks(median),
    "trimmed mean: sort, whole": lambda: trimmed_by_sort(X),
    "trimmed mean: sort, in blocks": lambda: in_blocks(trimmed_by_sort),
    "trimmed mean: partition, in blocks": lambda: in_blocks(trimmed_by_partition),
    "krum: matrix product": lambda: krum(X @ X.T),
    "krum: matrix product in blocks": lambda: krum(product_in_blocks()),
}

print("numpy", np.__version__, flush=True)
for line in sys.stdin:
    operation = OPERATIONS[line.strip()]
    start, cpu = time.perf_counter(), time.process_time()
    result = operation()
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    print(seconds, cpu, float(result[:: max(1, elements // 1000)].sum(dtype=np.float64)), flush=True)
    del result
