// A matrix product whose operands are looked up, for convolutions.
//
// Every sum of a convolution is made of products of two numbers, and the one of the image is found at the sum of two
// offsets: for the output, which pixel and which place of the kernel; for the gradient of the weight, which place of the
// kernel and which pixel. So all of them are matrix products in which an operand is not a matrix in memory but a pointer
// and two short tables of offsets:
//
//     c[row.at][column.at] (+)= sum over terms of a[row.from + term.from] * b[term.at + column.from]
//
// Stride, padding, dilation and the kernel's shape are in the tables alone, and windows are never written out. A column
// stands for a vector of neighbours in memory; numbers of `a` are read one by one, and may lie anywhere.
//
// The innermost loop keeps a tile of c in registers: with AVX-512 up to 8 rows of 2 vectors, of its 32 registers, else 6
// of 16; each number loaded takes part in several multiply-adds, so that loading is not what limits.
//
// Sources: K. Goto and R. van de Geijn, "Anatomy of High-Performance Matrix Multiplication", 2008, for tiles;
// M. Dukhan, "The Indirect Convolution Algorithm", 2019, for looking up instead of copying.
#pragma once

#include <algorithm>
#include <cstring>
#include <utility>

#include "pool.hpp"
#include "vec.hpp"

namespace tg {

constexpr int kTileRows = kVectorBytes == 64 ? 8 : 6, kTileVectors = 2;

// An offset in the operand that is looked up, and what is met there: an offset in the other one, or in the result.
struct Link {
    Index from, at;
    bool operator==(const Link& other) const { return from == other.from && at == other.at; }
};

// Memory that will be wanted soon: fetched into the second cache bit by bit while tiles are being made, so that it need not
// be waited for then. (A processor sees by itself that memory is read on and on, but not where from the next image is.)
struct Ahead {
    const char *at, *end;
    Index step;  // bytes with each tile
    void fetch() {
        for (const char* const to = std::min(at + step, end); at < to; at += 64) __builtin_prefetch(at, 0, 2);
    }
};

template <class T>
struct Lookup {
    const T* a;
    const Link* rows;
    Index height;
    const Link* terms;
    Index depth;
    const T* b;
    const Link* columns;
    Index width;  // in vectors
    T* c;
    bool add;                 // to what c holds
    Ahead* ahead;             // two pieces of memory to fetch meanwhile
    const T* bias = nullptr;  // one number a row, with which its sums begin
};

// `Lanes`: of a vector, or of half of one.
template <int Lanes, class T, int Rows, int Vectors>
void lookup_tile(const Lookup<T>& p, const Link* rows, const Link* columns) {
    using V [[gnu::vector_size(Lanes * sizeof(T))]] = T;
    V sum[Rows][Vectors];
    const T *a[Rows], *b[Vectors];
    for (int v = 0; v < Vectors; ++v) {
        b[v] = p.b + columns[v].from;
        asm("" : "+r"(b[v]));  // hides where it comes from: else GCC keeps p.b as well, and runs out of registers
    }
#pragma GCC unroll 8
    for (int i = 0; i < Rows; ++i) {
        a[i] = p.a + rows[i].from;
        asm("" : "+r"(a[i]));
        for (int v = 0; v < Vectors; ++v)
            sum[i][v] = p.add ? load<T, V>(p.c + rows[i].at + columns[v].at) : p.bias ? p.bias[rows - p.rows + i] - V{} : V{};
    }
    for (const Link *term = p.terms, *end = term + p.depth; term != end; ++term) {
        V right[Vectors];
        for (int v = 0; v < Vectors; ++v) right[v] = load<T, V>(b[v] + term->at);
#pragma GCC unroll 8
        for (int i = 0; i < Rows; ++i) {
            const V left = a[i][term->from] - V{};
            for (int v = 0; v < Vectors; ++v) sum[i][v] += left * right[v];
        }
    }
#pragma GCC unroll 8
    for (int i = 0; i < Rows; ++i)
        for (int v = 0; v < Vectors; ++v) std::memcpy(p.c + rows[i].at + columns[v].at, &sum[i][v], sizeof(V));
}

template <int Lanes, class T, int... I>
void lookup_tiles(const Lookup<T>& p, std::integer_sequence<int, I...>) {
    static constexpr decltype(&lookup_tile<Lanes, T, 1, 1>) tiles[] = {
        lookup_tile<Lanes, T, I / kTileVectors + 1, I % kTileVectors + 1>...};
    const Index pieces = (p.height + kTileRows - 1) / kTileRows;  // of nearly equal size, since small tiles are slow
    for (Index v = 0; v < p.width; v += kTileVectors) {
        const Index vectors = p.width - v < kTileVectors ? p.width - v : kTileVectors;
        for (Index i = 0; i < pieces; ++i) {
            p.ahead[0].fetch(), p.ahead[1].fetch();
            const Index begin = i * p.height / pieces, rows = (i + 1) * p.height / pieces - begin;
            tiles[(rows - 1) * kTileVectors + vectors - 1](p, p.rows + begin, p.columns + v);
        }
    }
}

template <int Lanes, class T>
void lookup(const Lookup<T>& p) {
    lookup_tiles<Lanes>(p, std::make_integer_sequence<int, kTileRows * kTileVectors>());
}

}  // namespace tg
