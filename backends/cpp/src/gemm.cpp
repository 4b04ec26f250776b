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

#if defined(__AVX512F__)
#include <immintrin.h>
#endif

namespace tg {
namespace {

#if defined(__AVX512F__)
using Mask = unsigned short;  // one bit a lane

template <class T>
inline Vec<T> load_masked(const T* from, Mask mask) {
    if constexpr (sizeof(T) == 4)
        return _mm512_maskz_loadu_ps(mask, from);
    else
        return _mm512_maskz_loadu_pd(static_cast<unsigned char>(mask), from);
}
template <class T>
inline void store_masked(T* to, Vec<T> x, Mask mask) {
    if constexpr (sizeof(T) == 4)
        _mm512_mask_storeu_ps(to, mask, x);
    else
        _mm512_mask_storeu_pd(to, static_cast<unsigned char>(mask), x);
}
#endif

// The first `count` numbers of a vector, from memory that may end there; what comes after them does not matter.
template <class T>
inline Vec<T> load_some(const T* from, Index count) {
#if defined(__AVX512F__)
    return load_masked(from, static_cast<Mask>((1u << count) - 1));
#else
    Vec<T> x;
    for (int i = 0; i < kLanes<T>; ++i) x[i] = from[std::min<Index>(i, count - 1)];
    return x;
#endif
}

template <class T>
struct Place {  // where a tile goes
    T* c;
    Index stride, columns, skip;  // how many columns are written, after how many that are not
    Epilogue<T> epilogue;         // its bias begins at the first of them
};

// Writes a vector of a tile's row.
template <class T>
inline void finish(Vec<T> x, T* c, const T* bias, const Epilogue<T>& epilogue) {
    if (epilogue.accumulate) x += load(c);
    if (bias) x += load(bias);
    if (epilogue.activation == Activation::relu) x = x < Vec<T>{} ? Vec<T>{} : x;  // a NaN stays one
    store<T>(c, x);
}

// Writes a tile that is narrower than its vectors; `sums` are its rows, of V vectors each.
template <class T, int V>
[[gnu::noinline]] void finish_edge(const T* sums, Index rows, const Place<T>& place) {
    constexpr int L = kLanes<T>;
#if defined(__AVX512F__)  // lanes that are masked out are neither read nor written, wherever they would be
    const Epilogue<T>& epilogue = place.epilogue;
    const T* const bias = epilogue.bias ? epilogue.bias - place.skip : nullptr;
    for (Index i = 0; i < rows; ++i)
        for (int v = 0; v < V; ++v) {
            const auto mask = static_cast<Mask>(((1ul << place.columns) - 1) << place.skip >> v * L);
            T* const c = place.c + i * place.stride + v * L - place.skip;
            Vec<T> x = load(sums + (i * V + v) * L);
            if (epilogue.accumulate) x += load_masked(c, mask);
            if (bias) x += load_masked(bias + v * L, mask);
            if (epilogue.activation == Activation::relu) x = x < Vec<T>{} ? Vec<T>{} : x;
            store_masked<T>(c, x, mask);
        }
#else
    for (Index i = 0; i < rows; ++i)
        for (Index j = 0; j < place.columns; ++j)
            finish_one(sums[i * V * L + place.skip + j], place.c + i * place.stride + j, j, place.epilogue);
#endif
}

// R rows of V vectors of c: the whole depth runs past while they are in registers. `Packed` tells the compiler the strides.
template <class T, int R, int V, bool Packed>
void tile(Index depth, const T* a, Index a_row, Index a_step, const T* b, Index b_step, const Place<T>& place) {
    constexpr int L = kLanes<T>;
    if constexpr (Packed) a_row = 1, a_step = kTileRows;
    Vec<T> sums[R][V];
#pragma GCC unroll 14
    for (int i = 0; i < R; ++i)
#pragma GCC unroll 4
        for (int v = 0; v < V; ++v) sums[i][v] = Vec<T>{};
    if (depth >= 32)
#pragma GCC unroll 14
        for (int i = 0; i < R; ++i)  // c will be wanted at the end: it may come from far away meanwhile
            for (int v = 0; v < V; ++v) __builtin_prefetch(place.c + i * place.stride + v * L, 1);
    for (Index k = 0; k < depth; ++k) {
        Vec<T> row[V];
#pragma GCC unroll 4
        for (int v = 0; v < V; ++v) __builtin_prefetch(b + 8 * b_step + v * L);  // b in place: each row a jump
#pragma GCC unroll 4
        for (int v = 0; v < V; ++v) row[v] = load(b + v * L);
#pragma GCC unroll 14
        for (int i = 0; i < R; ++i) {
            const Vec<T> x = broadcast(a[i * a_row]);
#pragma GCC unroll 4
            for (int v = 0; v < V; ++v) sums[i][v] += x * row[v];
        }
        a += a_step;
        b += b_step;
    }
    const auto each = [&](auto&& write) {
#pragma GCC unroll 14
        for (int i = 0; i < R; ++i)
#pragma GCC unroll 4
            for (int v = 0; v < V; ++v) write(i, v);
    };
    const Epilogue<T>& epilogue = place.epilogue;
    if (place.columns < V * L) {
        T edge[R * V * L];
        each([&](int i, int v) { store<T>(edge + (i * V + v) * L, sums[i][v]); });
        finish_edge<T, V>(edge, R, place);
    } else if (!epilogue.accumulate && !epilogue.bias && epilogue.activation == Activation::none) {
        each([&](int i, int v) { store<T>(place.c + i * place.stride + v * L, sums[i][v]); });
    } else {
        each([&](int i, int v) {
            const T* const bias = epilogue.bias ? epilogue.bias + v * L : nullptr;
            finish<T>(sums[i][v], place.c + i * place.stride + v * L, bias, epilogue);
        });
    }
}

template <class T>
using Tile = void (*)(Index, const T*, Index, Index, const T*, Index, const Place<T>&);

// The tile of that many rows and vectors: half as many rows may be twice as wide.
template <class T, int R = kTileRows, int V = 2 * kTileVectors>
Tile<T> tile_for(Index rows, Index vectors, bool packed) {
    if constexpr (R > 1)
        if (rows < R) return tile_for<T, R - 1, V>(rows, vectors, packed);
    if constexpr (V > 1)
        if (vectors < V || R * V > kTileRows * kTileVectors) return tile_for<T, R, V - 1>(rows, vectors, packed);
    return packed ? tile<T, R, V, true> : tile<T, R, V, false>;
}

// Turns L vectors of L numbers: rows become columns. Each of log2(L) rounds interleaves the first half with the second.
template <class T, int Round = 1>
inline void transpose(Vec<T> (&x)[kLanes<T>]) {
    constexpr int L = kLanes<T>;
    if constexpr (Round < L) {
        using Int = std::conditional_t<sizeof(T) == 4, int, long>;
        Vec<Int> low, high;
#pragma GCC unroll 16
        for (int i = 0; i < L; ++i) low[i] = i / 2 + i % 2 * L, high[i] = low[i] + L / 2;
        Vec<T> y[L];
#pragma GCC unroll 16
        for (int i = 0; i < L / 2; ++i) {
            y[2 * i] = __builtin_shuffle(x[i], x[i + L / 2], low);
            y[2 * i + 1] = __builtin_shuffle(x[i], x[i + L / 2], high);
        }
        transpose<T, Round * 2>(y);
#pragma GCC unroll 16
        for (int i = 0; i < L; ++i) x[i] = y[i];
    }
}

}  // namespace

template <class T>
void pack_panel(const T* from, Index line_stride, Index step, Index lines, Index depth, Index width, T* panel) {
    constexpr int L = kLanes<T>;
    for (Index i0 = (width - 1) / L * L; i0 >= 0; i0 -= L) {  // the last ones first, for what they write beyond the width
        const Index count = std::min<Index>(L, lines - i0);
        if (count <= 0) continue;
        const T* const source = from + i0 * line_stride;
        T* const out = panel + i0;
        Index k = 0;
        if (step == 1 && depth > 1 && count > 1) {
            for (; k < depth; k += L) {
                Vec<T> x[L];
                if (depth >= L) {
                    k = std::min(k, depth - L);  // the last ones may be done twice
#pragma GCC unroll 16
                    for (int i = 0; i < L; ++i) x[i] = load(source + std::min<Index>(i, count - 1) * line_stride + k);
                } else {
                    for (int i = 0; i < L; ++i) x[i] = load_some(source + std::min<Index>(i, count - 1) * line_stride, depth);
                }
                transpose<T>(x);
                const int used = static_cast<int>(std::min<Index>(L, depth));
#pragma GCC unroll 16
                for (int i = 0; i < L; ++i)
                    if (i < used) store<T>(out + (k + i) * width, x[i]);
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
void pack_panels(const T* from, Index line_stride, Index step, Index lines, Index depth, Index width, T* panels) {
    // Lines that lie side by side are read across all panels, some rows at a time: a row's cache lines are not gone then
    // when the next panel wants its part of them.
    const Index rows = line_stride == 1 ? 32 : depth;
    for (Index k = 0; k < depth; k += rows)
        for (Index i = 0; i < lines; i += width)
            pack_panel(from + i * line_stride + k * step, line_stride, step, std::min(width, lines - i),
                       std::min(rows, depth - k), width, panels + i * depth + k * width);
}

template <class T>
void multiply_block(const Block<T>& block, T* c, Index c_stride, const Epilogue<T>& epilogue, bool serial) {
    constexpr Index kHeld = 8;      // tiles of rows that go past all panels together
    constexpr Index kShallow = 16;  // up to such a depth, writing c is the work: then row by row
    const Matrix<T>& a = block.a;
    const Index m = a.rows, n = block.columns, depth = a.columns;
    const Index tiles = ceil_div(m, kTileRows), panels = ceil_div(n, block.width);
    serial = serial || is_small(m * n * depth) || threads() == 1;
    const bool pack_a = panels > 2;
    const Index team = serial ? 1 : threads();
    Index row_parts = ceil_div(tiles, kHeld), column_parts = 1;
    if (!serial) row_parts = std::min(tiles, ceil_div(row_parts, team) * team);
    if (!serial && row_parts < 2 * team) column_parts = std::min(panels, ceil_div(4 * team, row_parts));
    T* shared = nullptr;
    const Index panel_size = kTileRows * depth;
    auto pack = [&](Index t0, Index t1, T* to) {
        pack_panels(a.data + t0 * kTileRows * a.row_stride, a.row_stride, a.column_stride,
                    std::min(t1 * kTileRows, m) - t0 * kTileRows, depth, Index(kTileRows), to);
    };
    if (pack_a && column_parts > 1) {
        shared = scratch<T>(Slot::gemm_a, tiles * panel_size + kLanes<T>);
        pack(0, tiles, shared);
    }
    auto part = [&](Index number) {
        const Index r = number / column_parts, s = number % column_parts;
        const Index t0 = r * tiles / row_parts, t1 = (r + 1) * tiles / row_parts;
        const Index p0 = s * panels / column_parts, p1 = (s + 1) * panels / column_parts;
        const T* packed = shared ? shared + t0 * panel_size : nullptr;
        if (pack_a && !shared) {
            T* const mine = scratch<T>(Slot::gemm_a, (t1 - t0) * panel_size + kLanes<T>);
            pack(t0, t1, mine);
            packed = mine;
        }
        const auto one = [&](Index t, Index p) {
            const Index j0 = p * block.width, columns = std::min(block.width, n - j0);
            const bool apart = block.b_last && columns < block.width;
            const Index b_step = apart ? block.width : block.b_step, vectors = ceil_div(columns, kLanes<T>);
            const Index skip = block.overlap && !apart ? vectors * kLanes<T> - columns : 0;
            const T* const b = apart ? block.b_last : block.b + p * block.b_panel - skip;
            const Index i0 = t * kTileRows, rows = std::min<Index>(kTileRows, m - i0);
            Place<T> place{c + i0 * c_stride + j0, c_stride, columns, skip, epilogue};
            if (epilogue.bias) place.epilogue.bias += j0;
            const T* from = pack_a ? packed + (t - t0) * panel_size : a.data + i0 * a.row_stride;
            tile_for<T>(rows, vectors, pack_a)(depth, from, a.row_stride, a.column_stride, b, b_step, place);
        };
        if (depth <= kShallow)
            for (Index t = t0; t < t1; ++t)
                for (Index p = p0; p < p1; ++p) one(t, p);
        else
            for (Index p = p0; p < p1; ++p)
                for (Index t = t0; t < t1; ++t) one(t, p);
    };
    if (serial)
        for (Index i = 0; i < row_parts * column_parts; ++i) part(i);
    else
        parallel(row_parts * column_parts, part);
}

namespace {

// With b read in place: its rows are contiguous, and so few rows of a meet it that packing would cost more.
template <class T>
void multiply_in_place(const Matrix<T>& a, const Matrix<T>& b, T* c, Index c_stride, const Epilogue<T>& epilogue,
                       bool serial) {
    const Index width = kTileColumns<T> * (2 * a.rows <= kTileRows ? 2 : 1), beyond = b.columns % width;
    const bool overlap = b.columns >= ceil_div(beyond, kLanes<T>) * kLanes<T>;
    each_depth(a.columns, epilogue, [&](Index k0, Index depth, const Epilogue<T>& part) {
        const Matrix<T> a_part{a.data + k0 * a.column_stride, a.rows, depth, a.row_stride, a.column_stride};
        const T* const from = b.data + k0 * b.row_stride;
        T* const last = beyond && !overlap ? scratch<T>(Slot::gemm_b, width * (depth + 1)) : nullptr;
        if (last) pack_panel(from + b.columns - beyond, Index(1), b.row_stride, beyond, depth, width, last);
        multiply_block<T>({a_part, b.columns, width, from, last, width, b.row_stride, overlap}, c, c_stride, part, serial);
    });
}

template <class T>
void multiply(const Matrix<T>& a, const Matrix<T>& b, T* c, Index c_stride, const Epilogue<T>& epilogue, bool serial) {
    constexpr Index kFew = 2 * kTileRows;
    const Index m = a.rows, n = b.columns;
    if (m == 0 || n == 0 || multiply_lines(a, b, c, c_stride, epilogue, serial)) return;
    if (b.column_stride == 1 && m <= kFew) return multiply_in_place(a, b, c, c_stride, epilogue, serial);
    if (n <= (a.row_stride == 1 ? kTileRows : kTileRows / 2) && m >= kTileColumns<T>) {  // the same the other way round
        T* const turned = scratch<T>(Slot::gemm_c, m * n);
        multiply(b.transposed(), a.transposed(), turned, m, Epilogue<T>{}, serial);
        for (Index i = 0; i < m; ++i)
            for (Index j = 0; j < n; ++j) finish_one(turned[j * m + i], c + i * c_stride + j, j, epilogue);
        return;
    }
    const Index over = n % kLanes<T>;
    if (over > 0 && over <= kLanes<T> / 2 && n > kLanes<T> && n < 16 * kLanes<T> && m >= kTileRows && a.columns >= 64 &&
        (a.column_stride == 1 || a.row_stride == 1)) {  // a few columns beyond the last full vector: those apart
        const Index full = n - over;
        Epilogue<T> rest = epilogue;
        if (rest.bias) rest.bias += full;
        multiply(a, {b.data, b.rows, full, b.row_stride, b.column_stride}, c, c_stride, epilogue, serial);
        return multiply(a, {b.data + full * b.column_stride, b.rows, over, b.row_stride, b.column_stride}, c + full, c_stride,
                        rest, serial);
    }
    gemm_panels<T>(
        a, n,
        [&](T* panels, Index k0, Index depth, Index j0, Index columns) {
            pack_panels(b.data + k0 * b.row_stride + j0 * b.column_stride, b.column_stride, b.row_stride, columns, depth,
                        kTileColumns<T>, panels);
        },
        c, c_stride, epilogue, serial);
}

template <class T>
void multiply(Matrix<T> a, const PackedMatrix<T>& b, T* c, Index c_stride, const Epilogue<T>& epilogue, bool serial) {
    constexpr Index kColumns = kTileColumns<T>;
    const Index width = ceil_div(b.columns, kColumns) * kColumns;
    each_depth(a.columns, epilogue, [&](Index k0, Index depth, const Epilogue<T>& part) {
        const Matrix<T> a_part{a.data + k0 * a.column_stride, a.rows, depth, a.row_stride, a.column_stride};
        const Block<T> block{a_part, b.columns, kColumns, b.data + k0 * width, nullptr, kColumns * depth, kColumns, false};
        if (a.rows > 0 && b.columns > 0) multiply_block(block, c, c_stride, part, serial);
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
        pack_panels(b.data + k0 * b.row_stride, b.column_stride, b.row_stride, columns, depth, kColumns,
                    data + k0 * panels * kColumns);
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
    template void pack_panels<T>(const T*, Index, Index, Index, Index, Index, T*);                                      \
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
