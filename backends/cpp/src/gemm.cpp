// The matrix product, after Goto and van de Geijn (2008) and BLIS (Van Zee and van de Geijn, 2015).
//
// c = a @ b does 2mnk operations on mk + kn + mn numbers, so it could run at the processor's peak, if every number that
// is fetched were used often enough before it is dropped again. Every level of the memory has its loop for that:
//
// * registers: a *tile* of c, 14 rows of 2 vectors, stays in registers while for each k one column of a's panel (14
//   numbers) meets one row of b's panel (2 vectors): 28 multiply-adds for 16 loads;
// * first and second cache: the inner dimension is cut into blocks of 512, so that a's and b's *panels*, 14 rows and 32
//   columns of a block, are still there when the next tile wants them;
// * second cache: some hundred rows of a at a time go past all of b's panels;
// * order: panels are *packed*, copied so that the innermost loop reads them one element after the other. It is then that
//   a transposed operand is turned, sixteen rows at once in registers.
//
// Where an operand is used only a few times, packing costs more than it brings: then tiles read it in place, and are lower
// and wider, 7 rows of 4 vectors, so that more of each row of b is read at once.
// Threads share the tiles of c; each element's sum is taken in the same order whoever does it: same bits always.

#include "gemm.hpp"

#include <algorithm>

#include "vec.hpp"

namespace tg {
namespace {

// AVX-512 has 32 registers: 14 rows of 2 vectors are 28 sums, which leaves room for two vectors of b and an element of a.
// Elsewhere there are 16. At most half as many rows may be twice as wide.
constexpr int kRows = kVectorBytes == 64 ? 14 : 6;
constexpr int kVectors = 2;
template <class T>
constexpr int kColumns = kVectors * kLanes<T>;

// How many steps of the inner dimension make a block: so deep that reading and writing c between blocks costs little, so
// shallow that a panel of a (14 × 512 floats: 28 KB) stays in the first cache and a block of a in the second.
template <class T>
constexpr Index kDepth = 2048 / static_cast<Index>(sizeof(T));

// Where a tile goes. Of its last vector only lanes `low` to `high` are written: the others are another tile's, or nobody's.
template <class T>
struct Place {
    T* c;
    Index stride, low, high;
    Epilogue<T> epilogue;  // its bias begins with the tile
};

// Writes a tile of V vectors a row from `sums`, where it is not just stored.
template <class T, int V>
[[gnu::noinline]] void finish(const T* sums, Index rows, const Place<T>& place) {
    constexpr int L = kLanes<T>;
    const Epilogue<T>& epilogue = place.epilogue;
    for (Index i = 0; i < rows; ++i)
        for (int v = 0; v < V; ++v) {
            const bool last = v == V - 1;
            const Index low = last ? place.low : 0, high = last ? place.high : L, column = v * L - (last ? place.low : 0);
            T* const c = place.c + i * place.stride + column;
            Vec<T> x = load(sums + (i * V + v) * L);
            if (epilogue.accumulate) x += load_lanes(c, low, high);
            if (epilogue.bias) x += load_lanes(epilogue.bias + column, low, high);
            if (epilogue.activation == Activation::relu) x = x < Vec<T>{} ? Vec<T>{} : x;  // a NaN stays one
            store_lanes<T>(c, x, low, high);
        }
}

// R rows of V vectors of c: the whole depth runs past while they are in registers. `Packed` tells the compiler the strides.
template <class T, int R, int V, bool Packed>
void tile(Index depth, const T* a, Index a_row, Index a_step, const T* b, Index b_step, const Place<T>& place) {
    constexpr int L = kLanes<T>;
    if constexpr (Packed) a_row = 1, a_step = kRows;
    Vec<T> sums[R][V];
#pragma GCC unroll 14
    for (int i = 0; i < R; ++i)
#pragma GCC unroll 8
        for (int v = 0; v < V; ++v) {
            sums[i][v] = Vec<T>{};
            if (depth >= 32) __builtin_prefetch(place.c + i * place.stride + v * L, 1);  // it may come from far meanwhile
        }
    for (Index k = 0; k < depth; ++k, a += a_step, b += b_step) {
        Vec<T> row[V];
#pragma GCC unroll 8
        for (int v = 0; v < V; ++v) {
            if (v * kVectorBytes % 64 == 0) __builtin_prefetch(b + 8 * b_step + v * L);  // b in place: each row a jump
            row[v] = load(b + v * L - (v == V - 1 ? place.low : 0));
        }
#pragma GCC unroll 14
        for (int i = 0; i < R; ++i) {
            const Vec<T> x = broadcast(a[i * a_row]);
#pragma GCC unroll 8
            for (int v = 0; v < V; ++v) sums[i][v] += x * row[v];
        }
    }
    if (place.epilogue.plain() && (kMasks || place.high - place.low == L)) {
#pragma GCC unroll 14
        for (int i = 0; i < R; ++i) {
            T* const row = place.c + i * place.stride;
#pragma GCC unroll 8
            for (int v = 0; v < V - 1; ++v) store<T>(row + v * L, sums[i][v]);
            T* const last = row + (V - 1) * L - place.low;
            if (kMasks) store_lanes<T>(last, sums[i][V - 1], place.low, place.high);
            else store<T>(last, sums[i][V - 1]);
        }
        return;
    }
    T aside[R * V * L];
#pragma GCC unroll 14
    for (int i = 0; i < R; ++i)
#pragma GCC unroll 8
        for (int v = 0; v < V; ++v) store<T>(aside + (i * V + v) * L, sums[i][v]);
    finish<T, V>(aside, R, place);
}

template <class T>
using Tile = void (*)(Index, const T*, Index, Index, const T*, Index, const Place<T>&);

// The tile of that many rows and vectors.
template <class T, int R = kRows, int V = 4 * kVectors>
Tile<T> tile_for(Index rows, Index vectors, bool packed) {
    if constexpr (R > 1)
        if (rows < R) return tile_for<T, R - 1, V>(rows, vectors, packed);
    if constexpr (R * V > kRows * kVectors) return tile_for<T, R, V - 1>(rows, vectors, packed);
    else {
        if constexpr (V > 1)
            if (vectors < V) return tile_for<T, R, V - 1>(rows, vectors, packed);
        return packed ? tile<T, R, V, true> : tile<T, R, V, false>;
    }
}

// All rows of a matrix, or all columns of one that is handed over transposed, as panels of so many lines each, padded to
// `width` and `size` elements apart.
template <class T>
void pack(const Matrix<T>& m, Index lines, Index width, Index size, T* panels) {
    // Lines that lie side by side are read across all panels, some steps at a time: a step's cache lines are not gone then
    // when the next panel wants its part of them.
    const Index steps = m.row_stride == 1 ? 32 : m.columns;
    for (Index k = 0; k < m.columns; k += steps)
        for (Index i = 0; i < m.rows; i += lines)
            pack_panel(m.at(i, k), m.row_stride, m.column_stride, std::min(lines, m.rows - i), std::min(steps, m.columns - k),
                       width, panels + i / lines * size + k * width);
}

// b, some steps of the inner dimension of a product, as tiles read it: panels of `width` columns, b_panel elements apart,
// with rows b_step elements apart. What is `in_place` ends where its last column does, so that a narrow panel's last vector
// is read from as far to the left as it is too wide.
template <class T>
struct Panels {
    const T* b;
    Index columns, width, b_panel, b_step;
    bool in_place;
};

// c = a @ b as the epilogue says, for one block of the inner dimension; threads over tiles unless `serial`.
template <class T>
void multiply_block(const Matrix<T>& a, const Panels<T>& b, T* c, Index c_stride, const Epilogue<T>& epilogue, bool serial) {
    constexpr Index kHeld = 8;       // tiles of rows that go past all panels together
    constexpr Index kShallow = 128;  // up to such a depth, writing c is the work: then row by row
    constexpr int L = kLanes<T>;
    const Index m = a.rows, n = b.columns, depth = a.columns, panels = ceil_div(n, b.width);
    const Index highest = kRows * kColumns<T> / b.width, height = ceil_div(m, ceil_div(m, highest)), tiles = ceil_div(m, height);
    const Index team = serial || is_small(m * n * depth) ? 1 : threads(), panel_size = kRows * depth + L;
    const bool packs = panels > 2;
    Index row_parts = ceil_div(tiles, kHeld), column_parts = 1;
    if (team > 1) row_parts = std::min(tiles, ceil_div(row_parts, team) * team);
    if (team > 1 && row_parts < 2 * team) column_parts = std::min(panels, ceil_div(4 * team, row_parts));
    const auto pack_tiles = [&](Index t0, Index t1, T* to) {
        pack(a.part(t0 * height, 0, std::min(t1 * height, m) - t0 * height, depth), height, Index(kRows), panel_size, to);
    };
    T* const shared = packs && column_parts > 1 ? scratch<T>(Slot::gemm_a, tiles * panel_size) : nullptr;
    if (shared) parallel(tiles, [&](Index t) { pack_tiles(t, t + 1, shared + t * panel_size); });
    const auto part = [&](Index number) {
        const Index r = number / column_parts, s = number % column_parts;
        const Index t0 = r * tiles / row_parts, t1 = (r + 1) * tiles / row_parts;
        const Index p0 = s * panels / column_parts, p1 = (s + 1) * panels / column_parts;
        T* const packed = shared ? shared + t0 * panel_size : packs ? scratch<T>(Slot::gemm_a, (t1 - t0) * panel_size) : nullptr;
        if (packs && !shared) pack_tiles(t0, t1, packed);
        const auto one = [&](Index t, Index p) {
            const Index i0 = t * height, j0 = p * b.width, columns = std::min(b.width, n - j0), vectors = ceil_div(columns, L);
            const Index over = vectors * L - columns;
            Place<T> place{c + i0 * c_stride + j0, c_stride, b.in_place ? over : 0, b.in_place ? L : L - over, epilogue};
            if (epilogue.bias) place.epilogue.bias += j0;
            tile_for<T>(std::min(height, m - i0), vectors, packs)(
                depth, packs ? packed + (t - t0) * panel_size : a.at(i0, 0), a.row_stride, a.column_stride,
                b.b + p * b.b_panel, b.b_step, place);
        };
        if (depth <= kShallow)
            for (Index t = t0; t < t1; ++t)
                for (Index p = p0; p < p1; ++p) one(t, p);
        else
            for (Index p = p0; p < p1; ++p)
                for (Index t = t0; t < t1; ++t) one(t, p);
    };
    parallel_if(team > 1, row_parts * column_parts, part);
}

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

// With b read in place: its rows are contiguous, and so few rows of a meet it that packing would cost more.
template <class T>
void multiply_in_place(const Matrix<T>& a, const Matrix<T>& b, T* c, Index c_stride, const Epilogue<T>& epilogue, bool serial) {
    // Lower tiles are wider: more of each row of b, which may lie on a page of its own.
    const bool low = 2 * a.rows <= kRows || (kVectorBytes == 64 && a.columns > 64), lowest = 4 * a.rows <= kRows;
    const Index width = kColumns<T> * (lowest ? 4 : low ? 2 : 1);
    each_depth(a.columns, epilogue, [&](Index k0, Index depth, const Epilogue<T>& part) {
        const Panels<T> panels{b.at(k0, 0), b.columns, width, width, b.row_stride, true};
        multiply_block<T>(a.part(0, k0, a.rows, depth), panels, c, c_stride, part, serial);
    });
}

// With b packed, two megabytes at a time, which have not gone far when the tiles want them.
template <class T>
void multiply_packing(const Matrix<T>& a, const Matrix<T>& b, T* c, Index c_stride, const Epilogue<T>& epilogue, bool serial) {
    constexpr Index kShare = 4 * kColumns<T>;  // columns that one thread packs
    each_depth(a.columns, epilogue, [&](Index k0, Index depth, const Epilogue<T>& part) {
        const Index most = 1024 * kDepth<T> / std::max(depth, Index(1)) / kShare * kShare;
        for (Index j0 = 0; j0 < b.columns; j0 += most) {
            const Index width = std::min(b.columns - j0, most), shares = ceil_div(width, kShare);
            T* const packed = scratch<T>(Slot::gemm_b, (width + kColumns<T>) * depth + kLanes<T>);
            parallel_if(!serial && !is_small(width * depth * 16), shares, [&](Index i) {
                const Index j = i * kShare, columns = std::min(kShare, width - j);
                const Matrix<T> lines = b.part(k0, j0 + j, depth, columns).transposed();
                pack(lines, Index(kColumns<T>), Index(kColumns<T>), kColumns<T> * depth, packed + j * depth);
            });
            Epilogue<T> here = part;
            if (here.bias) here.bias += j0;
            const Panels<T> panels{packed, width, kColumns<T>, kColumns<T> * depth, kColumns<T>, false};
            multiply_block<T>(a.part(0, k0, a.rows, depth), panels, c + j0, c_stride, here, serial);
        }
    });
}

}  // namespace

template <class T>
void pack_panel(const T* from, Index line_stride, Index step, Index lines, Index depth, Index width, T* panel) {
    constexpr int L = kLanes<T>;
    for (Index i0 = (lines - 1) / L * L; i0 >= 0; i0 -= L) {  // the last ones first, for what they write beyond the width
        const Index count = std::min<Index>(L, lines - i0);
        const T* const source = from + i0 * line_stride;
        T* const out = panel + i0;
        Index k = 0;
        if (step == 1 && count > 1) {
            for (; k < depth; k += L) {
                const Index steps = std::min<Index>(L, depth - k);
                Vec<T> x[L];
#pragma GCC unroll 16
                for (int i = 0; i < L; ++i) {
                    const T* const line = source + std::min<Index>(i, count - 1) * line_stride + k;
                    x[i] = steps == L ? load(line) : load_first(line, steps, T(0));
                }
                transpose<T>(x);
#pragma GCC unroll 16
                for (int i = 0; i < L; ++i)
                    if (i < steps) store<T>(out + (k + i) * width, x[i]);
            }
        } else if (line_stride == 1 && step >= 0) {  // whole vectors, as long as they end within the matrix
            const Index beyond = count == L ? 0 : step >= L ? 1 : depth;
            for (; k < depth - beyond; ++k) store<T>(out + k * width, load(source + k * step));
        }
        for (; k < depth; ++k)
            for (Index i = 0; i < count; ++i) out[k * width + i] = source[i * line_stride + k * step];
    }
}

template <class T>
void gemm(const Matrix<T>& a, const Matrix<T>& b, T* c, Index c_stride, const Epilogue<T>& epilogue, bool serial) {
    const Index m = a.rows, n = b.columns;
    if (m == 0 || n == 0 || multiply_lines(a, b, c, c_stride, epilogue, serial)) return;
    const bool few = m <= 28 * kRows && n >= kLanes<T>;  // rows, for packing b's contiguous ones
    if (b.column_stride == 1 && few) return multiply_in_place(a, b, c, c_stride, epilogue, serial);
    // Few rows, and b's columns in one piece, or few columns, and a's: the other way round, these may stay as they are.
    const bool few_rows = b.row_stride == 1 && m > kRows / 2 && m <= kColumns<T> && n > m;
    const bool few_columns = a.row_stride == 1 && n <= kRows && m >= kColumns<T>;
    if (a.columns < 64 || (!few_rows && !few_columns)) return multiply_packing(a, b, c, c_stride, epilogue, serial);
    T* const turned = scratch<T>(Slot::gemm_c, m * n);
    gemm(b.transposed(), a.transposed(), turned, m, {}, serial);
    for (Index i = 0; i < m; ++i)
        for (Index j = 0; j < n; ++j) finish_one(turned[j * m + i], c + i * c_stride + j, j, epilogue);
}

template void gemm<float>(const Matrix<float>&, const Matrix<float>&, float*, Index, const Epilogue<float>&, bool);
template void gemm<double>(const Matrix<double>&, const Matrix<double>&, double*, Index, const Epilogue<double>&, bool);
template void pack_panel<float>(const float*, Index, Index, Index, Index, Index, float*);
template void pack_panel<double>(const double*, Index, Index, Index, Index, Index, double*);

}  // namespace tg
