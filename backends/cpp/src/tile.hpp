// A small matrix product that needs no packing, for matrices that lie in the cache already:
//
//     c[i][j] (+)= sum over k of a[i][k] b[k][j]
//
// `a` is read one number at a time and may have any strides; the rows of `b` and `c` are read a vector at a time, and so
// are contiguous and filled up to whole vectors. A tile of c, some rows of two vectors, stays in registers while k runs:
// each number of `a` is multiplied with every vector of b's row k, and all these products are independent of each other,
// which is what keeps the multiply-add units busy. (gemm.cpp does the same for matrices that do not fit a cache, where
// the operands must be packed into panels first.)
#pragma once

#include "pool.hpp"
#include "vec.hpp"

namespace tg {

template <class T>
constexpr Index padded(Index n) {
    return (n + kLanes<T> - 1) / kLanes<T> * kLanes<T>;
}

// c (rows, columns) (+)= a (rows, depth) @ b (depth, columns); `columns` are whole vectors.
template <class T>
struct Product {
    Index rows, depth, columns;
    const T* a;
    Index a_row, a_column;  // strides
    const T* b;
    T* c;
    Index c_row;
    bool add;  // to what c holds
};

// R rows of V vectors. Unrolled by force, and early: else GCC keeps `sums` in memory before and after the loop over k.
template <int R, int V, class T>
inline void tile(const Product<T>& p, const T* a, const T* b, T* c) {
    Vec<T> sums[R][V];
#pragma GCC unroll 16
    for (int i = 0; i < R; ++i)
#pragma GCC unroll 4
        for (int v = 0; v < V; ++v) sums[i][v] = Vec<T>{};
    for (int i = 0; p.add && i < R; ++i) __builtin_prefetch(c + i * p.c_row, 1);  // wanted in the end
    for (Index k = 0; k < p.depth; ++k, a += p.a_column, b += p.columns) {
        asm("" : "+r"(a));  // hides the stride from GCC, which makes a second loop for a stride of 1, half as fast
        Vec<T> row[V];
#pragma GCC unroll 4
        for (int v = 0; v < V; ++v) row[v] = load(b + v * kLanes<T>);
#pragma GCC unroll 16
        for (int i = 0; i < R; ++i)
#pragma GCC unroll 4
            for (int v = 0; v < V; ++v) sums[i][v] += a[i * p.a_row] * row[v];
    }
    if (p.add)
#pragma GCC unroll 16
        for (int i = 0; i < R; ++i)
#pragma GCC unroll 4
            for (int v = 0; v < V; ++v) sums[i][v] += load(c + i * p.c_row + v * kLanes<T>);
#pragma GCC unroll 16
    for (int i = 0; i < R; ++i)
#pragma GCC unroll 4
        for (int v = 0; v < V; ++v) store<T>(c + i * p.c_row + v * kLanes<T>, sums[i][v]);
}

// A column of tiles: as many full ones as fit, then what is left with lower ones.
template <int R, int V, class T>
void column_of_tiles(const Product<T>& p, Index i, Index j) {
    for (; i + R <= p.rows; i += R) tile<R, V>(p, p.a + i * p.a_row, p.b + j, p.c + i * p.c_row + j);
    if constexpr (R > 1)
        if (i < p.rows) column_of_tiles<(R > 4 ? 4 : R / 2), V>(p, i, j);
}

template <class T>
void multiply(const Product<T>& p) {
    constexpr int tallest = kVectorBytes == 64 ? 8 : 6;  // by the number of registers: 32 with AVX-512, else 16
    Index j = 0;
    for (; j + 2 * kLanes<T> <= p.columns; j += 2 * kLanes<T>) column_of_tiles<tallest, 2>(p, 0, j);
    for (; j < p.columns; j += kLanes<T>) column_of_tiles<tallest, 1>(p, 0, j);
}

// to[j][i] = from[i][j], squares of whole vectors in registers, and nothing beyond.
template <class T>
void transpose(const T* from, Index from_row, Index rows, Index columns, T* to, Index to_row) {
    constexpr Index L = kLanes<T>;
    const Index whole_rows = rows / L * L, whole_columns = columns / L * L;
    for (Index i = 0; i < whole_rows; i += L)
        for (Index j = 0; j < whole_columns; j += L) {
            Vec<T> x[L];
            for (Index v = 0; v < L; ++v) x[v] = load(from + (i + v) * from_row + j);
            transpose<T>(x);
            for (Index v = 0; v < L; ++v) store<T>(to + (j + v) * to_row + i, x[v]);
        }
    for (Index i = 0; i < rows; ++i)
        for (Index j = i < whole_rows ? whole_columns : 0; j < columns; ++j) to[j * to_row + i] = from[i * from_row + j];
}

}  // namespace tg
