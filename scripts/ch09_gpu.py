"""How one matrix product is spread over a GPU's grid, blocks and threads: computed here, on paper so to speak.

A GPU runs one function, the kernel, in many threads at once. Threads come in blocks, which share a small, fast memory
and can wait for one another; blocks make up the grid, and know nothing of one another. Each thread finds out from its
block's index and its own which element of C = A B is its task:

    i = blockIdx.y T + threadIdx.y        j = blockIdx.x T + threadIdx.x        T x T threads a block

Without tiles each thread reads a row of A and a column of B: 2 K numbers from the main memory for each element. With
tiles a block goes along that row of tiles of A and that column of tiles of B together: each thread fetches one number
of either tile into the shared memory, all wait, and then each number fetched is used by T threads. So the main memory
is read T times less. `KERNEL` is that function in CUDA, and `simulate` runs it here, thread by thread, and counts.

Source: NVIDIA, "CUDA C++ Programming Guide", chapters 2 (thread hierarchy) and 3.2.4 (shared memory).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

WARP = 32  # threads that an NVIDIA GPU runs in step: neighbours in x, which read neighbours in memory in one go

KERNEL = """\
__global__ void product(const float *A, const float *B, float *C, int M, int K, int N) {
    __shared__ float tile_A[T][T], tile_B[T][T];         // one pair for each block
    int y = threadIdx.y, x = threadIdx.x;
    int i = blockIdx.y * T + y, j = blockIdx.x * T + x;  // the element of C that is this thread's
    float sum = 0;
    for (int p = 0; p < K; p += T) {
        tile_A[y][x] = i < M && p + x < K ? A[i * K + p + x] : 0;
        tile_B[y][x] = p + y < K && j < N ? B[(p + y) * N + j] : 0;
        __syncthreads();                                 // until the block's threads have filled both tiles
        for (int q = 0; q < T; ++q) sum += tile_A[y][q] * tile_B[q][x];
        __syncthreads();                                 // until none of them needs these tiles any more
    }
    if (i < M && j < N) C[i * N + j] = sum;
}
"""


@dataclass(frozen=True)
class Launch:
    """The product of A (M, K) and B (K, N) on blocks of `tile` x `tile` threads, each for one element of C (M, N)."""

    M: int
    K: int
    N: int
    tile: int

    def __post_init__(self) -> None:
        if min(self.M, self.K, self.N, self.tile) < 1 or self.tile > 32:
            raise ValueError(f"Launch: expected sizes of at least 1 and tiles of at most 32 x 32 threads, got {self}")

    @property
    def grid(self) -> tuple[int, int]:
        """Blocks in a column and in a row of the grid; the last ones may hang over the edge of C."""
        return -(-self.M // self.tile), -(-self.N // self.tile)

    @property
    def phases(self) -> int:
        """Pairs of tiles that each block goes through."""
        return -(-self.K // self.tile)

    @property
    def threads(self) -> int:
        """Threads started; M N of them have an element of C to compute."""
        rows, columns = self.grid
        return rows * columns * self.tile**2

    def owner(self, i: int, j: int) -> tuple[tuple[int, int], tuple[int, int]]:
        """The thread that computes C[i, j]: its block's index (y, x), and its own within the block (y, x).

        >>> Launch(M=128, K=64, N=256, tile=16).owner(37, 90)
        ((2, 5), (5, 10))
        """
        return (i // self.tile, j // self.tile), (i % self.tile, j % self.tile)

    @property
    def direct_reads(self) -> int:
        """Numbers that all threads read from the main memory, each by itself: a row and a column for an element."""
        return 2 * self.M * self.N * self.K

    @property
    def tiled_reads(self) -> int:
        """The same with tiles: A once for each column of blocks, B once for each row of blocks."""
        rows, columns = self.grid
        return self.M * self.K * columns + self.K * self.N * rows


class Memory:
    """An array whose reads are counted."""

    def __init__(self, array: np.ndarray) -> None:
        self.array, self.reads = array, 0

    def __getitem__(self, index: tuple[int, int]) -> float:
        self.reads += 1
        return float(self.array[index])


def simulate(a: np.ndarray, b: np.ndarray, tile: int) -> tuple[np.ndarray, int]:
    """The product as KERNEL computes it, thread by thread: C, and the numbers read from the main memory.

    Blocks may run in any order; the threads of one run in turn here, as far as they come before they must wait.
    """
    (M, K), N = a.shape, b.shape[1]
    launch = Launch(M, K, N, tile)
    main_a, main_b, c = Memory(a), Memory(b), np.zeros((launch.M, launch.N))
    threads = [(y, x) for y in range(tile) for x in range(tile)]
    for block_y, block_x in np.ndindex(launch.grid):
        tile_a, tile_b, sums = np.zeros((tile, tile)), np.zeros((tile, tile)), np.zeros((tile, tile))
        for p in range(0, launch.K, tile):
            for y, x in threads:
                i, j = block_y * tile + y, block_x * tile + x
                tile_a[y, x] = main_a[i, p + x] if i < launch.M and p + x < launch.K else 0.0
                tile_b[y, x] = main_b[p + y, j] if p + y < launch.K and j < launch.N else 0.0
            # __syncthreads()
            for y, x in threads:
                sums[y, x] += sum(tile_a[y, q] * tile_b[q, x] for q in range(tile))
            # __syncthreads()
        for y, x in threads:
            i, j = block_y * tile + y, block_x * tile + x
            if i < launch.M and j < launch.N:
                c[i, j] = sums[y, x]
    return c, main_a.reads + main_b.reads
