// Two matrix products of which one operand is looked up, for convolutions; and the transposition of small blocks.
//
// Every sum of a convolution is made of products of two numbers, and the one of the image is found at the sum of two
// offsets: for the output, which pixel and which place of the kernel; for the gradient of the weight, which place of the
// kernel and which pixel. So all of them are matrix products in which an operand is not a matrix in memory but a place
// and two short tables of offsets. Stride, padding, dilation and the kernel's shape are in the tables alone, and windows
// are never written out. Either the left operand is looked up, number by number, each being broadcast to all lanes,
//
//     c[row.at][lane] = sum over terms of a[row.from + term.from] * b[term.at][lane]        (lookup_left)
//
// or the right one, where neighbours are taken from memory as they lie side by side, a vector at a time:
//
//     c[i][column.at] = sum over terms r of a[i][r] * b[column.from + terms[r]]             (lookup_right)
//
// The innermost loops keep a tile of c in registers: with AVX-512 up to 14 rows of 2 vectors, or 4 rows of 6, of its 32
// registers; and each number loaded takes part in several multiply-adds, so that loading is not what limits.
//
// Sources: K. Goto and R. van de Geijn, "Anatomy of High-Performance Matrix Multiplication", 2008, for tiles and panels;
// M. Dukhan, "The Indirect Convolution Algorithm", 2019, for looking up instead of copying.
#pragma once

#include <utility>

#include "pool.hpp"
#include "vec.hpp"

namespace tg {

constexpr bool kManyRegisters = kVectorBytes == 64;    // 32 of them, else 16
constexpr int kLeftRows = kManyRegisters ? 8 : 6;      // of lookup_left's tile, of kPanel vectors each
constexpr int kPanel = 2;                              // vectors that a panel of b has; the last may have 1
constexpr int kRightRows = 4;                          // of lookup_right's tile,
constexpr int kRightVectors = kManyRegisters ? 6 : 3;  // of so many vectors each

template <class T>
inline Index vectors(Index lanes) {
    return (lanes + kLanes<T> - 1) / kLanes<T>;
}

// An offset in the operand that is looked up, and what is met there: a row of b, or a place in the result.
struct Link {
    Index from, at;
};

// `count` things in pieces of at most `most`, of nearly equal size, since small tiles are slow: calls f(begin, end).
template <class F>
inline void evenly(Index count, Index most, const F& f) {
    const Index pieces = (count + most - 1) / most;
    for (Index i = 0; i < pieces; ++i) f(i * count / pieces, (i + 1) * count / pieces);
}

template <class T, int Q, int V>
void left_tile(const T* a, const Link* rows, const Link* terms, Index depth, const T* b, T* c, Index stride, bool add) {
    Vec<T> sum[Q][V];
    for (int q = 0; q < Q; ++q)
        for (int v = 0; v < V; ++v) sum[q][v] = add ? load(c + rows[q].at * stride + v * kLanes<T>) : Vec<T>{};
    for (Index r = 0; r < depth; ++r) {
        const T* const from = a + terms[r].from;
        Vec<T> right[V];
        for (int v = 0; v < V; ++v) right[v] = load(b + (terms[r].at * V + v) * kLanes<T>);
#pragma GCC unroll 8
        for (int q = 0; q < Q; ++q) {
            const Vec<T> left = broadcast(from[rows[q].from]);
            for (int v = 0; v < V; ++v) sum[q][v] += left * right[v];
        }
    }
    for (int q = 0; q < Q; ++q)
        for (int v = 0; v < V; ++v) store<T>(c + rows[q].at * stride + v * kLanes<T>, sum[q][v]);
}

template <class T, int V, int... Q>
void left_panel(const T* a, const Link* rows, Index count, const Link* terms, Index depth, const T* b, T* c, Index stride,
                bool add, std::integer_sequence<int, Q...>) {
    static constexpr decltype(&left_tile<T, 1, V>) tiles[] = {left_tile<T, Q + 1, V>...};
    evenly(count, kLeftRows, [&](Index begin, Index end) {
        tiles[end - begin - 1](a, rows + begin, terms, depth, b, c, stride, add);
    });
}

// c = or += the product, its rows of so many vectors. b has `height` rows, in panels of kPanel vectors (the last one of
// what is left): first all rows of the first panel, then those of the second.
template <class T>
void lookup_left(const T* a, const Link* rows, Index count, const Link* terms, Index depth, const T* b, Index height,
                 Index vectors, T* c, bool add) {
    constexpr auto tiles = std::make_integer_sequence<int, kLeftRows>();
    const Index stride = vectors * kLanes<T>;
    for (Index v = 0; v < vectors; v += kPanel, b += kPanel * kLanes<T> * height, c += kPanel * kLanes<T>)
        if (v + kPanel <= vectors)
            left_panel<T, kPanel>(a, rows, count, terms, depth, b, c, stride, add, tiles);
        else
            left_panel<T, 1>(a, rows, count, terms, depth, b, c, stride, add, tiles);
}

template <class T, int Q, int V>
void right_tile(const T* a, const T* b, const Link* columns, const Index* terms, Index depth, const T* bias, T* c, Index stride) {
    Vec<T> sum[Q][V];
    for (int q = 0; q < Q; ++q)
        for (int v = 0; v < V; ++v) sum[q][v] = bias ? broadcast(bias[q]) : Vec<T>{};
    for (Index r = 0; r < depth; ++r) {
        const T* const from = b + terms[r];
        Vec<T> right[V];
        for (int v = 0; v < V; ++v) right[v] = load(from + columns[v].from);
        for (int q = 0; q < Q; ++q) {
            const Vec<T> left = broadcast(a[q * depth + r]);
            for (int v = 0; v < V; ++v) sum[q][v] += left * right[v];
        }
    }
    for (int q = 0; q < Q; ++q)
        for (int v = 0; v < V; ++v) store<T>(c + q * stride + columns[v].at, sum[q][v]);
}

template <class T, int... I>
void right_tiles(const T* a, Index rows, const T* b, const Link* columns, Index count, const Index* terms, Index depth,
                 const T* bias, T* c, Index stride, std::integer_sequence<int, I...>) {
    static constexpr decltype(&right_tile<T, 1, 1>) tiles[] = {right_tile<T, I / kRightVectors + 1, I % kRightVectors + 1>...};
    evenly(count, kRightVectors, [&](Index v0, Index v1) {
        evenly(rows, kRightRows, [&](Index begin, Index end) {
            tiles[(end - begin - 1) * kRightVectors + v1 - v0 - 1](a + begin * depth, b, columns + v0, terms, depth,
                                                                   bias ? bias + begin : nullptr, c + begin * stride, stride);
        });
    });
}

// c = bias (or 0) + the product: rows `stride` apart, in each of them a vector for each of the columns; a is dense.
template <class T>
void lookup_right(const T* a, Index rows, const T* b, const Link* columns, Index count, const Index* terms, Index depth,
                  const T* bias, T* c, Index stride) {
    right_tiles(a, rows, b, columns, count, terms, depth, bias, c, stride,
                std::make_integer_sequence<int, kRightRows * kRightVectors>());
}

// One step of the transposition below: in each pair of rows H apart, the off-diagonal blocks of H x H change places.
template <class T, int H, int... E>
inline void exchange(Vec<T>* x, std::integer_sequence<int, E...>) {
    constexpr int n = kLanes<T>;
    for (int i = 0; i < n; ++i) {
        if (i & H) continue;
        const Vec<T> a = x[i], b = x[i + H];
        x[i] = __builtin_shufflevector(a, b, ((E & H) ? n + E - H : E)...);
        x[i + H] = __builtin_shufflevector(a, b, ((E & H) ? n + E : E + H)...);
    }
}

template <class T, int H = kLanes<T> / 2>
inline void exchange_all(Vec<T>* x) {
    exchange<T, H>(x, std::make_integer_sequence<int, kLanes<T>>());
    if constexpr (H > 1) exchange_all<T, H / 2>(x);
}

// to[j][i] = from[i][j] + (bias ? bias[j] : 0), for rows x columns numbers; rows of `from` and of `to` lie so far apart.
template <class T>
void transpose(const T* from, Index from_stride, Index rows, Index columns, T* to, Index to_stride, const T* bias = nullptr) {
    constexpr int n = kLanes<T>;
    for (Index j = 0; j < columns; j += n)
        for (Index i = 0; i < rows; i += n) {
            if (i + n <= rows && j + n <= columns) {
                Vec<T> x[n];
                for (int k = 0; k < n; ++k) x[k] = load(from + (i + k) * from_stride + j);
                exchange_all<T>(x);
                for (int k = 0; k < n; ++k)
                    store<T>(to + (j + k) * to_stride + i, bias ? x[k] + broadcast(bias[j + k]) : x[k]);
            } else {
                for (Index q = j; q < columns && q < j + n; ++q)
                    for (Index p = i; p < rows && p < i + n; ++p)
                        to[q * to_stride + p] = from[p * from_stride + q] + (bias ? bias[q] : T(0));
            }
        }
}

// Writes rows of lookup_left's b: b[first + row][lane] = from[lane * step + row], and 0 in the lanes that fill up the last
// vector. b has `height` rows.
template <class T>
void pack(const T* from, Index step, Index lanes, Index rows, T* b, Index first, Index height) {
    const Index all = vectors<T>(lanes) * kLanes<T>;
    for (Index lane = 0; lane < all; lane += kPanel * kLanes<T>) {
        const Index width = all - lane < kPanel * kLanes<T> ? all - lane : kPanel * kLanes<T>;
        const Index used = lanes - lane < width ? lanes - lane : width;
        T* const to = b + lane * height + first * width;
        transpose(from + lane * step, step, used, rows, to, width);
        for (Index row = 0; used < width && row < rows; ++row)
            for (Index at = used; at < width; ++at) to[row * width + at] = T(0);
    }
}

}  // namespace tg
