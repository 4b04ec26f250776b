// A small matrix product that needs no packing: for kernels whose matrices lie in the cache already.
//
//     c[i][j] (+)= sum over k of a[i][k] b[k][j]
//
// `a` is read one number at a time and may have any strides; the rows of `b` and `c` are read a vector at a time, and so
// are contiguous and padded to whole vectors. A tile of c, some rows of two vectors, stays in registers while k runs:
// each number of `a` is multiplied with every vector of b's row k, and all these products are independent of each other,
// which is what keeps the multiply-add units busy. (gemm.cpp does the same for matrices that do not fit a cache, where
// the operands must be packed into panels first.)
//
// Attention and recurrent networks lay their intermediate results out so that this fits: transposed, with the queries,
// or the samples of a batch, along the vectors. Then a maximum over keys, or an activation of a gate, is an operation on
// whole vectors as well.
#pragma once

#include <type_traits>

#include "pool.hpp"
#include "vec.hpp"

namespace tg {

template <class T>
constexpr Index padded(Index n) {
    return (n + kLanes<T> - 1) / kLanes<T> * kLanes<T>;
}

// Sizes and strides in elements; `columns` a multiple of kLanes<T>.
template <class T>
struct Product {
    Index rows, columns, depth;
    const T* a;
    Index a_row, a_column;
    const T* b;
    Index b_row;
    T* c;
    Index c_row;
    bool add;  // to what c holds
};

namespace detail {

// The tile's size, by the number of registers: 32 with AVX-512, else 16.
constexpr int kTallest = kVectorBytes == 64 ? 8 : 6, kWidest = 2;

template <int Rows, int Vectors, class T>
inline void tile(const Product<T>& p, const T* a, const T* b, T* c) {
    // Unrolled by force, and early: else GCC keeps `sums` in memory before and after the loop over k.
    Vec<T> sums[Rows][Vectors];
#pragma GCC unroll 16
    for (int i = 0; i < Rows; ++i)
#pragma GCC unroll 4
        for (int v = 0; v < Vectors; ++v) sums[i][v] = Vec<T>{};
    if (p.add)  // what c holds is wanted in the end
        for (int i = 0; i < Rows; ++i) __builtin_prefetch(c + i * p.c_row, 1);
    for (Index k = 0; k < p.depth; ++k, a += p.a_column, b += p.b_row) {
        asm("" : "+r"(a));  // hides the stride from GCC, which makes a second loop for a stride of 1, half as fast
        Vec<T> row[Vectors];
#pragma GCC unroll 4
        for (int v = 0; v < Vectors; ++v) row[v] = load(b + v * kLanes<T>);
#pragma GCC unroll 16
        for (int i = 0; i < Rows; ++i)
#pragma GCC unroll 4
            for (int v = 0; v < Vectors; ++v) sums[i][v] += a[i * p.a_row] * row[v];
    }
    if (p.add)
#pragma GCC unroll 16
        for (int i = 0; i < Rows; ++i)
#pragma GCC unroll 4
            for (int v = 0; v < Vectors; ++v) sums[i][v] += load(c + i * p.c_row + v * kLanes<T>);
#pragma GCC unroll 16
    for (int i = 0; i < Rows; ++i)
#pragma GCC unroll 4
        for (int v = 0; v < Vectors; ++v) store<T>(c + i * p.c_row + v * kLanes<T>, sums[i][v]);
}

// Rows of tiles: as many full ones as fit, then what is left with the tile of just that height.
template <int Rows, int Vectors, class T>
void column_of_tiles(const Product<T>& p, Index i, Index j) {
    for (; i + Rows <= p.rows; i += Rows) tile<Rows, Vectors>(p, p.a + i * p.a_row, p.b + j, p.c + i * p.c_row + j);
    if constexpr (Rows > 1)
        if (i < p.rows) column_of_tiles<(Rows > 4 ? 4 : Rows / 2), Vectors>(p, i, j);
}

}  // namespace detail

template <class T>
void multiply(const Product<T>& p) {
    constexpr Index wide = detail::kWidest * kLanes<T>;
    Index j = 0;
    for (; j + wide <= p.columns; j += wide) detail::column_of_tiles<detail::kTallest, detail::kWidest>(p, 0, j);
    for (; j < p.columns; j += kLanes<T>) detail::column_of_tiles<detail::kTallest, 1>(p, 0, j);
}

// The same for a few columns, fewer than a vector has lanes: c[i][s] (+)= sum over k of a[i][k] b[s][k], the rows of a and
// b being contiguous, and those of c one after the other. Vectors run along k; in the end the lanes of n sums, R rows by
// Columns, are added up in a tree: each round makes of two vectors one that holds the sums of both's neighbours.
template <int Columns, class T>
void multiply_dots(Index rows, Index depth, const T* a, Index a_row, const T* b, Index b_row, T* c, bool add) {
    constexpr int n = kLanes<T>, R = n / Columns;
    using Places [[gnu::vector_size(kVectorBytes)]] = std::conditional_t<sizeof(T) == 4, int, long>;
    Places even{}, odd{};
    for (int i = 0; i < n; ++i) even[i] = 2 * i, odd[i] = 2 * i + 1;
    const Index whole = depth / n * n;
    for (Index i = 0; i < rows; i += R, a += R * a_row, c += n) {
        const int height = rows - i < R ? static_cast<int>(rows - i) : R;
        Vec<T> sums[n];
#pragma GCC unroll 16
        for (int r = 0; r < n; ++r) sums[r] = Vec<T>{};
        for (Index k = 0; k < whole; k += n) {
            Vec<T> y[Columns];
#pragma GCC unroll 16
            for (int s = 0; s < Columns; ++s) y[s] = load(b + s * b_row + k);
#pragma GCC unroll 16
            for (int r = 0; r < R; ++r) {
                const Vec<T> x = load(a + (r < height ? r : 0) * a_row + k);
#pragma GCC unroll 16
                for (int s = 0; s < Columns; ++s) sums[r * Columns + s] += x * y[s];
            }
        }
#pragma GCC unroll 16
        for (int m = n / 2; m > 0; m /= 2)
#pragma GCC unroll 16
            for (int r = 0; r < m; ++r)
                sums[r] = __builtin_shuffle(sums[2 * r], sums[2 * r + 1], even) +
                          __builtin_shuffle(sums[2 * r], sums[2 * r + 1], odd);
        for (int r = 0; r < height; ++r)
            for (int s = 0; s < Columns; ++s) {
                T sum = sums[0][r * Columns + s];
                for (Index k = whole; k < depth; ++k) sum += a[r * a_row + k] * b[s * b_row + k];
                c[r * Columns + s] = add ? c[r * Columns + s] + sum : sum;
            }
    }
}

// The transpose of a square of whole vectors, in registers: in each of log2(n) rounds every vector is interleaved with
// the one half of them further on.
template <class T>
inline void transpose_square(const T* from, Index from_row, T* to, Index to_row) {
    constexpr int n = kLanes<T>;
    using Places [[gnu::vector_size(kVectorBytes)]] = std::conditional_t<sizeof(T) == 4, int, long>;
    Places low{}, high{};
    for (int i = 0; i < n; ++i) low[i] = i / 2 + i % 2 * n, high[i] = low[i] + n / 2;
    Vec<T> x[n], y[n];
    for (int i = 0; i < n; ++i) x[i] = load(from + i * from_row);
    for (int round = 1; round < n; round *= 2) {
        for (int i = 0; i < n / 2; ++i) {
            y[2 * i] = __builtin_shuffle(x[i], x[i + n / 2], low);
            y[2 * i + 1] = __builtin_shuffle(x[i], x[i + n / 2], high);
        }
        for (int i = 0; i < n; ++i) x[i] = y[i];
    }
    for (int i = 0; i < n; ++i) store<T>(to + i * to_row, x[i]);
}

// to[j][i] = from[i][j]; any strides on the side of `from`.
template <class T>
void transpose(const T* from, Index from_row, Index from_column, Index rows, Index columns, T* to, Index to_row) {
    constexpr Index n = kLanes<T>;
    const Index whole_rows = from_column == 1 ? rows / n * n : 0, whole_columns = columns / n * n;
    for (Index i = 0; i < whole_rows; i += n)
        for (Index j = 0; j < whole_columns; j += n)
            transpose_square(from + i * from_row + j, from_row, to + j * to_row + i, to_row);
    for (Index i = 0; i < rows; ++i)
        for (Index j = i < whole_rows ? whole_columns : 0; j < columns; ++j)
            to[j * to_row + i] = from[i * from_row + j * from_column];
}

}  // namespace tg
