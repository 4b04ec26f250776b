// The matrix product, after Goto and van de Geijn (2008) and BLIS (Van Zee and van de Geijn, 2015).
//
// c = a @ b does 2mnk operations on mk + kn + mn numbers, so it could run at the processor's peak, if every number that
// is fetched were used often enough before it is dropped again. Every level of the memory has its loop for that:
//
// * registers: a *tile* of c, 14 rows of 2 vectors, stays in registers while for each k one column of a's panel (14
//   numbers) meets one row of b's panel (2 vectors): 28 multiply-adds for 16 loads;
// * first and second cache: the inner dimension is cut into blocks of 384, so that a's and b's *panels*, 14 rows and 32
//   columns of a block, are still there when the next tile wants them;
// * second cache: some hundred rows of a at a time go past all of b's panels;
// * order: panels are *packed*, copied so that the innermost loop reads them one element after the other. It is then that
//   a transposed operand is turned, sixteen rows at once in registers, and edges are filled up with zeros.
//
// Where an operand is used only a few times, packing costs more than it brings: then tiles read it in place.
// Threads share the tiles of c; each element's sum is taken in the same order whoever does it: same bits always.

#include "gemm_core.hpp"

namespace tg {
namespace {

template <class T>
struct Place {  // where a tile goes
    T* c;
    Index stride, columns;
    Epilogue<T> epilogue;  // its bias begins at the tile's first column
};

// Writes a vector of a tile's row.
template <class T>
inline void finish(Vec<T> x, T* c, const T* bias, const Epilogue<T>& epilogue) {
    if (epilogue.accumulate) x += load(c);
    if (bias) x += load(bias);
    if (epilogue.activation == Activation::relu) x = x < Vec<T>{} ? Vec<T>{} : x;  // a NaN stays one
    store<T>(c, x);
}

// Writes a tile that is narrower than its vectors; `sums` are its rows, `width` apart.
template <class T>
[[gnu::noinline]] void finish_edge(const T* sums, Index rows, Index width, const Place<T>& place) {
    const Epilogue<T>& epilogue = place.epilogue;
    for (Index i = 0; i < rows; ++i)
        for (Index j = 0; j < place.columns; ++j) {
            T x = sums[i * width + j];
            T& to = place.c[i * place.stride + j];
            if (epilogue.accumulate) x += to;
            if (epilogue.bias) x += epilogue.bias[j];
            to = epilogue.activation == Activation::relu && x < 0 ? T(0) : x;
        }
}

// R rows of V vectors of c: the whole depth runs past while they are in registers. `Packed` tells the compiler the strides.
template <class T, int R, int V, bool Packed>
void tile(Index depth, const T* a, Index a_row, Index a_step, const T* b, Index b_step, const Place<T>& place) {
    constexpr int L = kLanes<T>;
    if constexpr (Packed) a_row = 1, a_step = kTileRows;
    Vec<T> sums[R][V];
#pragma GCC unroll 14
    for (int i = 0; i < R; ++i)
#pragma GCC unroll 2
        for (int v = 0; v < V; ++v) sums[i][v] = Vec<T>{};
    for (Index k = 0; k < depth; ++k) {
        Vec<T> row[V];
#pragma GCC unroll 2
        for (int v = 0; v < V; ++v) row[v] = load(b + v * L);
#pragma GCC unroll 14
        for (int i = 0; i < R; ++i) {
            const Vec<T> x = broadcast(a[i * a_row]);
#pragma GCC unroll 2
            for (int v = 0; v < V; ++v) sums[i][v] += x * row[v];
        }
        a += a_step;
        b += b_step;
    }
    T edge[R * V * L];
    const bool whole = place.columns == V * L;
#pragma GCC unroll 14
    for (int i = 0; i < R; ++i)
#pragma GCC unroll 2
        for (int v = 0; v < V; ++v) {
            if (whole)
                finish<T>(sums[i][v], place.c + i * place.stride + v * L,
                          place.epilogue.bias ? place.epilogue.bias + v * L : nullptr, place.epilogue);
            else
                store<T>(edge + (i * V + v) * L, sums[i][v]);
        }
    if (!whole) finish_edge<T>(edge, R, V * L, place);
}

template <class T>
using Tile = void (*)(Index, const T*, Index, Index, const T*, Index, const Place<T>&);

// The tile of that many rows and vectors.
template <class T, int R = kTileRows>
Tile<T> tile_for(Index rows, Index vectors, bool packed) {
    if (rows < R)
        if constexpr (R > 1) return tile_for<T, R - 1>(rows, vectors, packed);
    if (vectors == 1) return packed ? tile<T, R, 1, true> : tile<T, R, 1, false>;
    return packed ? tile<T, R, 2, true> : tile<T, R, 2, false>;
}

// Turns L vectors of L numbers: rows become columns. Each of log2(L) rounds interleaves the first half with the second.
template <class T>
void transpose(Vec<T> (&x)[kLanes<T>]) {
    constexpr int L = kLanes<T>;
    using Int = std::conditional_t<sizeof(T) == 4, int, long>;
    Vec<Int> low, high;
    for (int i = 0; i < L; ++i) low[i] = i / 2 + i % 2 * L, high[i] = low[i] + L / 2;
    for (int round = 1; round < L; round *= 2) {
        Vec<T> y[L];
#pragma GCC unroll 16
        for (int i = 0; i < L / 2; ++i) {
            y[2 * i] = __builtin_shuffle(x[i], x[i + L / 2], low);
            y[2 * i + 1] = __builtin_shuffle(x[i], x[i + L / 2], high);
        }
#pragma GCC unroll 16
        for (int i = 0; i < L; ++i) x[i] = y[i];
    }
}

}  // namespace

template <class T>
void pack_panel(const T* from, Index line_stride, Index step, Index lines, Index depth, Index width, T* panel) {
    constexpr int L = kLanes<T>;
    for (Index i0 = (width - 1) / L * L; i0 >= 0; i0 -= L) {  // the last ones first, for what they write beyond the width
        const Index count = std::min<Index>(L, std::max<Index>(0, lines - i0)), wide = std::min<Index>(L, width - i0);
        const T* const source = from + i0 * line_stride;
        T* const out = panel + i0;
        Index k = 0;
        if (step == 1 && count > 1)
            for (; k + L <= depth; k += L) {
                Vec<T> x[L] = {};
                for (Index i = 0; i < count; ++i) x[i] = load(source + i * line_stride + k);
                transpose<T>(x);
                for (int i = 0; i < L; ++i) store<T>(out + (k + i) * width, x[i]);
            }
        else if (line_stride == 1 && count == L)
            for (; k < depth; ++k) store<T>(out + k * width, load(source + k * step));
        for (; k < depth; ++k)
            for (Index i = 0; i < wide; ++i) out[k * width + i] = i < count ? source[i * line_stride + k * step] : T(0);
    }
}

template <class T>
void multiply_block(const Block<T>& block, T* c, Index c_stride, const Epilogue<T>& epilogue, bool serial) {
    constexpr Index kColumns = kTileColumns<T>, kHeld = 8;  // tiles of rows that go past all panels together
    const Matrix<T>& a = block.a;
    const Index m = a.rows, n = block.columns, depth = a.columns;
    const Index tiles = ceil_div(m, kTileRows), panels = ceil_div(n, kColumns);
    if (m == 0 || n == 0) return;
    serial = serial || is_small(m * n * depth) || threads() == 1;
    const bool pack_a = panels > 2;
    const Index team = serial ? 1 : threads();
    Index row_parts = ceil_div(tiles, kHeld), column_parts = 1;
    if (!serial) row_parts = std::min(tiles, ceil_div(row_parts, team) * team);
    if (!serial && row_parts < 2 * team) column_parts = std::min(panels, ceil_div(4 * team, row_parts));
    T* shared = nullptr;
    const Index panel_size = kTileRows * depth;
    auto pack = [&](Index t, T* to) {
        const Index i0 = t * kTileRows;
        pack_panel(a.data + i0 * a.row_stride, a.row_stride, a.column_stride, std::min<Index>(kTileRows, m - i0), depth,
                   kTileRows, to);
    };
    if (pack_a && column_parts > 1) {
        shared = scratch<T>(Slot::gemm_a, tiles * panel_size + kColumns);
        for (Index t = 0; t < tiles; ++t) pack(t, shared + t * panel_size);
    }
    auto part = [&](Index number) {
        const Index r = number / column_parts, s = number % column_parts;
        const Index t0 = r * tiles / row_parts, t1 = (r + 1) * tiles / row_parts;
        const Index p0 = s * panels / column_parts, p1 = (s + 1) * panels / column_parts;
        const T* packed = shared ? shared + t0 * panel_size : nullptr;
        if (pack_a && !shared) {
            T* const mine = scratch<T>(Slot::gemm_a, (t1 - t0) * panel_size + kColumns);
            for (Index t = t0; t < t1; ++t) pack(t, mine + (t - t0) * panel_size);
            packed = mine;
        }
        for (Index p = p0; p < p1; ++p) {
            const Index j0 = p * kColumns, columns = std::min(kColumns, n - j0);
            const bool apart = block.b_last && p + 1 == panels;
            const T* const b = apart ? block.b_last : block.b + p * block.b_panel;
            const Index b_step = apart ? kColumns : block.b_step, vectors = ceil_div(columns, kLanes<T>);
            Place<T> place{nullptr, c_stride, columns, epilogue};
            if (epilogue.bias) place.epilogue.bias += j0;
            for (Index t = t0; t < t1; ++t) {
                const Index i0 = t * kTileRows, rows = std::min<Index>(kTileRows, m - i0);
                place.c = c + i0 * c_stride + j0;
                const T* from = pack_a ? packed + (t - t0) * panel_size : a.data + i0 * a.row_stride;
                tile_for<T>(rows, vectors, pack_a)(depth, from, a.row_stride, a.column_stride, b, b_step, place);
            }
        }
    };
    if (serial)
        for (Index i = 0; i < row_parts * column_parts; ++i) part(i);
    else
        parallel(row_parts * column_parts, part);
}

namespace {

template <class T>
void multiply(const Matrix<T>& a, const Matrix<T>& b, T* c, Index c_stride, const Epilogue<T>& epilogue, bool serial) {
    gemm_blocks<T>(
        a, b.columns,
        [&](T* panel, Index k0, Index depth, Index j0, Index columns) {
            pack_panel(b.data + k0 * b.row_stride + j0 * b.column_stride, b.column_stride, b.row_stride, columns, depth,
                       kTileColumns<T>, panel);
        },
        c, c_stride, epilogue, serial);
}

template <class T>
void multiply(Matrix<T> a, const PackedMatrix<T>& b, T* c, Index c_stride, const Epilogue<T>& epilogue, bool serial) {
    constexpr Index kColumns = kTileColumns<T>;
    const Index width = ceil_div(b.columns, kColumns) * kColumns;
    each_depth(a.columns, epilogue, [&](Index k0, Index depth, const Epilogue<T>& part) {
        const Matrix<T> a_part{a.data + k0 * a.column_stride, a.rows, depth, a.row_stride, a.column_stride};
        multiply_block<T>({a_part, b.columns, b.data + k0 * width, nullptr, kColumns * depth, kColumns}, c, c_stride, part,
                          serial);
    });
}

}  // namespace

template <class T>
void gemm(Matrix<T> a, Matrix<T> b, T* c, Index c_stride, Epilogue<T> epilogue) {
    multiply(a, b, c, c_stride, epilogue, is_small(a.rows * b.columns * a.columns));
}

template <class T>
void gemm_serial(Matrix<T> a, Matrix<T> b, T* c, Index c_stride, Epilogue<T> epilogue) {
    multiply(a, b, c, c_stride, epilogue, true);
}

template <class T>
PackedMatrix<T>::PackedMatrix(Matrix<T> b) : rows(b.rows), columns(b.columns) {
    constexpr Index kColumns = kTileColumns<T>;
    const Index panels = ceil_div(columns, kColumns);
    bytes_ = static_cast<std::size_t>((panels * rows + 1) * kColumns) * sizeof(T);
    data = static_cast<T*>(acquire(bytes_));
    each_depth(rows, Epilogue<T>{}, [&](Index k0, Index depth, const Epilogue<T>&) {
        for (Index p = 0; p < panels; ++p)
            pack_panel(b.data + k0 * b.row_stride + p * kColumns * b.column_stride, b.column_stride, b.row_stride,
                       std::min(kColumns, columns - p * kColumns), depth, kColumns,
                       data + (k0 * panels + p * depth) * kColumns);
    });
}

template <class T>
void gemm_packed(Matrix<T> a, const PackedMatrix<T>& b, T* c, Index c_stride, Epilogue<T> epilogue) {
    multiply(a, b, c, c_stride, epilogue, false);
}

template <class T>
void gemm_packed_serial(Matrix<T> a, const PackedMatrix<T>& b, T* c, Index c_stride, Epilogue<T> epilogue) {
    multiply(a, b, c, c_stride, epilogue, true);
}

#define TG_GEMM(T)                                                                                                      \
    template void pack_panel<T>(const T*, Index, Index, Index, Index, Index, T*);                                       \
    template void multiply_block<T>(const Block<T>&, T*, Index, const Epilogue<T>&, bool);                              \
    template void gemm<T>(Matrix<T>, Matrix<T>, T*, Index, Epilogue<T>);                                                \
    template void gemm_serial<T>(Matrix<T>, Matrix<T>, T*, Index, Epilogue<T>);                                         \
    template class PackedMatrix<T>;                                                                                     \
    template void gemm_packed<T>(Matrix<T>, const PackedMatrix<T>&, T*, Index, Epilogue<T>);                            \
    template void gemm_packed_serial<T>(Matrix<T>, const PackedMatrix<T>&, T*, Index, Epilogue<T>);
TG_GEMM(float)
TG_GEMM(double)
#undef TG_GEMM

}  // namespace tg
