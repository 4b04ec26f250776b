// The skeleton of the matrix product, for kernels that bring their own packing: see gemm.cpp for how it all works.
//
// `gemm_blocks` multiplies a matrix by something that need not exist in memory: it asks a function for panels of it,
// `pack_b(panel, k0, depth, j0, columns)` writing element (k0 + k, j0 + j) to panel[k * kTileColumns<T> + j] for all
// k < depth, and zeros where j >= columns. A convolution packs its windows that way without ever laying them out whole.
#pragma once

#include <algorithm>

#include "gemm.hpp"
#include "memory.hpp"
#include "vec.hpp"

namespace tg {

// One tile of c is kept in registers while the whole depth of a block runs past it. AVX-512 has 32 registers: 14 rows of
// 2 vectors are 28 sums, which leaves room for two vectors of b and an element of a. Elsewhere there are 16 registers.
#if defined(__AVX512F__)
constexpr int kTileRows = 14;
#else
constexpr int kTileRows = 6;
#endif
constexpr int kTileVectors = 2;
template <class T>
constexpr int kTileColumns = kTileVectors * kLanes<T>;

// How many steps of the inner dimension make a block: so deep that reading and writing c between blocks costs little, so
// shallow that a panel of a (14 × 384 floats: 21 KB) stays in the first cache and a block of a in the second.
template <class T>
constexpr Index kDepth = 1536 / static_cast<Index>(sizeof(T));

inline Index ceil_div(Index a, Index b) { return (a + b - 1) / b; }

// Writes `lines` lines of `depth` elements, element (i, k) at from[i * line_stride + k * step], as a panel: element
// (i, k) at panel[k * width + i], zeros for lines <= i < width. Lines are rows of a or columns of b. Up to a vector's
// length beyond the panel's end may be written to.
template <class T>
void pack_panel(const T* from, Index line_stride, Index step, Index lines, Index depth, Index width, T* panel);

// Some steps of the inner dimension of a product, for which b lies ready: panel p at b + p * b_panel, its rows b_step
// elements apart, except the last one if `b_last` is given (which is packed).
template <class T>
struct Block {
    Matrix<T> a;
    Index columns;  // of b and c
    const T *b, *b_last;
    Index b_panel, b_step;
};

// c = a @ b as the epilogue says, for one block; threads over tiles unless `serial`.
template <class T>
void multiply_block(const Block<T>& block, T* c, Index c_stride, const Epilogue<T>& epilogue, bool serial);

// Calls f(k0, depth, epilogue) for each block of the inner dimension: later blocks add to what the earlier ones left in
// c, and bias and activation come with the last one.
template <class T, class F>
void each_depth(Index inner, const Epilogue<T>& epilogue, const F& f) {
    const Index count = std::max(Index(1), ceil_div(inner, kDepth<T>)), size = ceil_div(inner, count);
    for (Index k0 = 0, i = 0; i < count; ++i, k0 += size) {
        Epilogue<T> part = epilogue;
        part.accumulate |= i > 0;
        if (i + 1 < count) part.bias = nullptr, part.activation = Activation::none;
        f(k0, std::min(size, inner - k0), part);
    }
}

template <class T, class PackB>
void gemm_blocks(Matrix<T> a, Index columns, const PackB& pack_b, T* c, Index c_stride, const Epilogue<T>& epilogue,
                 bool serial) {
    constexpr Index kColumns = kTileColumns<T>, kMost = 128;  // panels at once: 384 × 4096 floats, 6 MB, in the last cache
    each_depth(a.columns, epilogue, [&](Index k0, Index depth, Epilogue<T> part) {
        const Matrix<T> a_part{a.data + k0 * a.column_stride, a.rows, depth, a.row_stride, a.column_stride};
        for (Index j0 = 0; j0 < columns; j0 += kMost * kColumns) {
            const Index width = std::min(columns - j0, kMost * kColumns), panels = ceil_div(width, kColumns);
            T* packed = scratch<T>(Slot::gemm_b, panels * kColumns * depth + kColumns);
            auto pack = [&](Index p) {
                pack_b(packed + p * kColumns * depth, k0, depth, j0 + p * kColumns, std::min(kColumns, width - p * kColumns));
            };
            if (serial || is_small(width * depth * 16))
                for (Index p = 0; p < panels; ++p) pack(p);
            else
                parallel(panels, pack);
            if (epilogue.bias && part.bias) part.bias = epilogue.bias + j0;
            multiply_block<T>({a_part, width, packed, nullptr, kColumns * depth, kColumns}, c + j0, c_stride, part, serial);
        }
    });
}

}  // namespace tg
