// The skeleton of the matrix product, for kernels that bring their own packing: see gemm.cpp for how it all works.
//
// `gemm_blocks` multiplies a matrix by something that need not exist in memory: it asks a function for panels of it,
// `pack_b(panel, k0, depth, j0, columns)` writing element (k0 + k, j0 + j) to panel[k * kTileColumns<T> + j] for all
// k < depth and j < columns. A convolution packs its windows that way without ever laying them out whole.
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
// shallow that a panel of a (14 × 512 floats: 28 KB) stays in the first cache and a block of a in the second.
template <class T>
constexpr Index kDepth = 2048 / static_cast<Index>(sizeof(T));

inline Index ceil_div(Index a, Index b) { return (a + b - 1) / b; }

// Writes `lines` lines of `depth` elements, element (i, k) at from[i * line_stride + k * step], as a panel: element
// (i, k) at panel[k * width + i]. Lines are rows of a or columns of b; what stands in the panel for lines <= i < width does
// not matter. Up to a vector's length beyond the panel's end may be written to.
template <class T>
void pack_panel(const T* from, Index line_stride, Index step, Index lines, Index depth, Index width, T* panel);
// The same for any number of lines: panel after panel of `width` of them.
template <class T>
void pack_panels(const T* from, Index line_stride, Index step, Index lines, Index depth, Index width, T* panels);

// Some steps of the inner dimension of a product, for which b lies ready: panels of `width` columns, panel p at
// b + p * b_panel with its rows b_step elements apart, but the last one, if it is narrower, at b_last, and dense. With
// `overlap` a narrow last one is read in place, from as far to the left as its vectors are too wide.
template <class T>
struct Block {
    Matrix<T> a;
    Index columns, width;  // of b; of a panel: 2 vectors, or 4 if a has at most half a tile's rows
    const T *b, *b_last;
    Index b_panel, b_step;
    bool overlap;
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

// Writes one element, of column j.
template <class T>
inline void finish_one(T x, T* c, Index j, const Epilogue<T>& epilogue) {
    if (epilogue.accumulate) x += *c;
    if (epilogue.bias) x += epilogue.bias[j];
    *c = epilogue.activation == Activation::relu && x < 0 ? T(0) : x;  // a NaN stays one
}

// c = a @ b by sums along lines of both, where that is the best way: see gemm_thin.cpp. False if it is not.
template <class T>
bool multiply_lines(const Matrix<T>& a, const Matrix<T>& b, T* c, Index c_stride, const Epilogue<T>& epilogue, bool serial);

// c = a @ b, where pack_b(panels, k0, depth, j0, columns) writes panels of b: as many as the columns fill.
template <class T, class PackB>
void gemm_panels(Matrix<T> a, Index columns, const PackB& pack_b, T* c, Index c_stride, const Epilogue<T>& epilogue,
                 bool serial) {
    constexpr Index kColumns = kTileColumns<T>, kMost = 4096, kShare = 4;  // columns at once; panels packed together
    if (a.rows == 0) return;
    each_depth(a.columns, epilogue, [&](Index k0, Index depth, const Epilogue<T>& part) {
        const Matrix<T> a_part{a.data + k0 * a.column_stride, a.rows, depth, a.row_stride, a.column_stride};
        for (Index j0 = 0; j0 < columns; j0 += kMost) {
            const Index width = std::min(columns - j0, kMost);
            T* const packed = scratch<T>(Slot::gemm_b, (width + 2 * kColumns) * depth);
            const auto pack = [&](Index begin, Index end) {
                pack_b(packed + begin * depth, k0, depth, j0 + begin, end - begin);
            };
            if (serial || is_small(width * depth * 16))
                pack(0, width);
            else
                parallel_ranges(width, kShare * kColumns, pack);
            Epilogue<T> here = part;
            if (here.bias) here.bias += j0;
            const Block<T> block{a_part, width, kColumns, packed, nullptr, kColumns * depth, kColumns, false};
            multiply_block(block, c + j0, c_stride, here, serial);
        }
    });
}

// The same with a pack_b that writes one panel at a time.
template <class T, class PackB>
void gemm_blocks(Matrix<T> a, Index columns, const PackB& pack_b, T* c, Index c_stride, const Epilogue<T>& epilogue,
                 bool serial) {
    const auto pack = [&](T* panels, Index k0, Index depth, Index j0, Index width) {
        constexpr Index kColumns = kTileColumns<T>;
        for (Index j = 0; j < width; j += kColumns)
            pack_b(panels + j * depth, k0, depth, j0 + j, std::min(kColumns, width - j));
    };
    gemm_panels(a, columns, pack, c, c_stride, epilogue, serial);
}

}  // namespace tg
