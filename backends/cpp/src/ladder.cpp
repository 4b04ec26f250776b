// A ladder of matrix products: the same sum six times, each rung one idea faster than the one below it.
//
//     c[i][j] = sum over p of a[i][p] * b[p][j]          a: m x k, b: k x n, c: m x n, rows one after the other
//
// That is 2 m n k operations on m k + k n + m n numbers: for matrices of a thousand rows, hundreds of operations for each
// number that must come from memory. A processor can therefore be kept computing all the time. What keeps it from that
// is, on each rung, something else, and the next rung does away with it:
//
//     naive       waits for the addition before, and jumps through b column by column
//     reordered   reads rows only; several sums at once, but each is loaded and stored at every step
//     blocked     goes over a part of b that fits into the cache before it goes on to the next part
//     vectorised  keeps a tile of c in registers, and takes vectors by name
//     packed      copies what the tile reads into one stream, so that no load misses cache or page table
//     threaded    shares the rows out among the cores
//
// Every rung adds the products of one element in the same order, p = 0, 1, 2, ... with one rounding for each (one
// instruction multiplies and adds, where the processor has it): the results are equal to the last bit, and a test says so.
// What differs is only the order in which the elements get their turn. `tinygrad-edu run optimize` measures the rungs;
// the backend's own product, gemm.cpp, is the last one grown up: any shape, any strides, two dtypes, bias and activation.
//
// Source: K. Goto and R. van de Geijn, "Anatomy of high-performance matrix multiplication", ACM Trans. Math. Softw. 34,
// 2008; F. Van Zee and R. van de Geijn, "BLIS: a framework for rapidly instantiating BLAS functionality", 2015.

#include "memory.hpp"
#include "subjects.hpp"
#include "vec.hpp"

// Where a lesson is about plain instructions, the compiler must not improve on it behind our back. GCC at -O3 may exchange
// loops, unroll and jam them, and use vectors; none of these on a function that is marked so.
#define TG_AS_WRITTEN \
    __attribute__((noinline, optimize("no-tree-vectorize", "no-loop-interchange", "no-loop-unroll-and-jam")))

namespace tg {
namespace {

// 1. As the formula reads: the machine code is one load, one multiply-add, one branch. The sum stays in a register, but
//    each addition must wait for the one before it, four cycles in which the processor could have done a hundred others;
//    and b[p * n + j] is n numbers further at each step: of the cache line of 16 numbers that comes with it, the other
//    15 are gone again, in a large matrix, before the next column asks for them.
TG_AS_WRITTEN void naive(const float* a, const float* b, float* c, Index m, Index n, Index k) {
    for (Index i = 0; i < m; ++i)
        for (Index j = 0; j < n; ++j) {
            float sum = 0.0f;
            for (Index p = 0; p < k; ++p) sum += a[i * k + p] * b[p * n + j];
            c[i * n + j] = sum;
        }
}

// c[j] += a * b[j] along a row. No element waits for another one, so here the compiler may and does use vectors: one
// instruction for 16, 8 or 4 of them. `__restrict`: c overlaps with no input, which it could not know.
inline void add_row(float a, const float* __restrict b, float* __restrict c, Index n) {
    for (Index j = 0; j < n; ++j) c[j] += a * b[j];
}

// 2. The two inner loops exchanged. Now b and c are read as they lie in memory, and neighbours are computed at once. But
//    each multiply-add costs two loads and a store; and all of b passes by for every row of c: a matrix that does not fit
//    into the cache is fetched from memory m times.
void reordered(const float* a, const float* b, float* c, Index m, Index n, Index k) {
    std::fill(c, c + m * n, 0.0f);
    for (Index i = 0; i < m; ++i)
        for (Index p = 0; p < k; ++p) add_row(a[i * k + p], b + p * n, c + i * n, n);
}

// 3. The same, block of b by block of b: one of 64 x 1024 numbers is 256 KB, which stays in the second-level cache while
//    all rows of a go over it; the piece of a row of c, 4 KB, stays in the first. The memory is asked for b only once,
//    and for c once in 64 steps. On a processor whose last cache holds all of b it makes little difference.
constexpr Index kBlockK = 64, kBlockN = 1024;

void blocked(const float* a, const float* b, float* c, Index m, Index n, Index k) {
    std::fill(c, c + m * n, 0.0f);
    for (Index j = 0; j < n; j += kBlockN)
        for (Index p = 0; p < k; p += kBlockK)
            for (Index i = 0; i < m; ++i)
                for (Index q = p; q < std::min(p + kBlockK, k); ++q)
                    add_row(a[i * k + q], b + q * n + j, c + i * n + j, std::min(kBlockN, n - j));
}

// The heart of the next three rungs, the micro-kernel: a tile of c, kRows x kColumns numbers, is loaded into registers,
// gets all of its products, and is stored. A step of p costs kRows + kColumns loads for kRows * kColumns multiply-adds,
// not two loads and a store for each; and the tile has as many sums under way as the processor needs to never wait
// (two multiply-adds a cycle that take four cycles each: eight vectors at least). AVX-512 has 32 registers, the others
// 16: tile, a row of b, and one number of a must fit into them.
//
// Element (i, p) of a is a[i * a_row + p * a_step], row p of b begins at b + p * b_step.
constexpr int kRows = kVectorBytes == 64 ? 14 : 6, kVectors = 2;
constexpr int kColumns = kVectors * kLanes<float>;

inline __attribute__((always_inline)) void tile(const float* a, Index a_row, Index a_step, const float* b, Index b_step,
                                                Index k, float* c, Index c_row) {
    Vec<float> sums[kRows][kVectors];
#pragma GCC unroll 16
    for (int i = 0; i < kRows; ++i)
#pragma GCC unroll 16
        for (int v = 0; v < kVectors; ++v) sums[i][v] = load(c + i * c_row + v * kLanes<float>);
    for (Index p = 0; p < k; ++p) {
        Vec<float> row[kVectors];
#pragma GCC unroll 16
        for (int v = 0; v < kVectors; ++v) row[v] = load(b + p * b_step + v * kLanes<float>);
#pragma GCC unroll 16
        for (int i = 0; i < kRows; ++i)
#pragma GCC unroll 16
            for (int v = 0; v < kVectors; ++v) sums[i][v] += a[i * a_row + p * a_step] * row[v];
    }
#pragma GCC unroll 16
    for (int i = 0; i < kRows; ++i)
#pragma GCC unroll 16
        for (int v = 0; v < kVectors; ++v) store<float>(c + i * c_row + v * kLanes<float>, sums[i][v]);
}

// 4. Tile by tile over c, all of k at once. What is left over at the right and at the bottom, less than a tile wide, is
//    done as on rung 2. b is still read where it lies: its rows are n numbers apart, each on a page of its own when n is
//    large, and when n is a power of two they compete for the same few places in the cache.
void vectorised(const float* a, const float* b, float* c, Index m, Index n, Index k) {
    std::fill(c, c + m * n, 0.0f);
    const Index whole_m = m - m % kRows, whole_n = n - n % kColumns;
    for (Index j = 0; j < whole_n; j += kColumns)
        for (Index i = 0; i < whole_m; i += kRows) tile(a + i * k, k, 1, b + j, n, k, c + i * n + j, n);
    for (Index i = 0; i < m; ++i) {
        const Index j = i < whole_m ? whole_n : 0;  // the columns that the tiles have left
        for (Index p = 0; p < k; ++p) add_row(a[i * k + p], b + p * n + j, c + i * n + j, n - j);
    }
}

// 5. Before the tiles are computed, what they read is copied, "packed", in the very order in which they will read it:
//
//        a panel of a, kRows rows:         a00 a10 a20 ... | a01 a11 a21 ... | ...       (a step of p, and the next)
//        a panel of b, kColumns columns:   b00 b01 b02 ... | b10 b11 b12 ... | ...
//
//    Each copy costs one pass and is used many times: a panel of b by all rows, one of a by all columns. The sizes are
//    those of the caches: a panel of b, kDepth x kColumns, stays in the first level while the panels of a block of a,
//    kHeight x kDepth, come from the second. Panels are filled up with zeros, so that the micro-kernel knows no edges.
constexpr Index kDepth = 256, kHeight = 12 * kRows;

void pack_a(const float* a, Index a_row, Index rows, Index depth, float* to) {  // rows x depth, panel by panel
    for (Index i = 0; i < rows; i += kRows)
        for (Index p = 0; p < depth; ++p)
            for (Index r = i; r < i + kRows; ++r) *to++ = r < rows ? a[r * a_row + p] : 0.0f;
}

void pack_b(const float* b, Index b_row, Index depth, Index columns, float* to) {  // one panel
    for (Index p = 0; p < depth; ++p)
        for (Index j = 0; j < kColumns; ++j) *to++ = j < columns ? b[p * b_row + j] : 0.0f;
}

// A tile of c that may hang over the edge: then it is computed in a whole tile beside c, and what is inside copied back.
void packed_tile(const float* a, const float* b, Index depth, float* c, Index c_row, Index rows, Index columns) {
    if (rows >= kRows && columns >= kColumns) return tile(a, 1, kRows, b, kColumns, depth, c, c_row);
    rows = std::min<Index>(rows, kRows), columns = std::min<Index>(columns, kColumns);
    float whole[kRows * kColumns] = {};
    for (Index i = 0; i < rows; ++i) std::copy_n(c + i * c_row, columns, whole + i * kColumns);
    tile(a, 1, kRows, b, kColumns, depth, whole, kColumns);
    for (Index i = 0; i < rows; ++i) std::copy_n(whole + i * kColumns, columns, c + i * c_row);
}

using Product = void (*)(const float*, const float*, float*, Index, Index, Index);

// On rung 5 panels and blocks are done one after the other, on rung 6 by all threads.
template <bool threads>
void by_panels(const float* a, const float* b, float* c, Index m, Index n, Index k) {
    std::fill(c, c + m * n, 0.0f);
    const Index panels = (n + kColumns - 1) / kColumns, heights = (m + kHeight - 1) / kHeight;
    float* const packed_b = scratch<float>(Slot::gemm_b, kDepth * panels * kColumns);
    for (Index p = 0; p < k; p += kDepth) {
        const Index depth = std::min(kDepth, k - p);
        parallel_if(threads, panels, [&](Index j) {
            pack_b(b + p * n + j * kColumns, n, depth, n - j * kColumns, packed_b + j * kColumns * depth);
        });
        parallel_if(threads, heights, [&](Index block) {
            const Index first = block * kHeight, rows = std::min(kHeight, m - first);
            float* const packed_a = scratch<float>(Slot::gemm_a, kHeight * kDepth);  // each thread has its own
            pack_a(a + first * k + p, k, rows, depth, packed_a);
            for (Index j = 0; j < panels; ++j)
                for (Index i = 0; i < rows; i += kRows)
                    packed_tile(packed_a + i * depth, packed_b + j * kColumns * depth, depth,
                                c + (first + i) * n + j * kColumns, n, rows - i, n - j * kColumns);
        });
    }
}

constexpr Product packed = by_panels<false>;

// 6. No block of rows of c needs what another one writes, so the threads take blocks as they come. Each has caches of its
//    own for its block of a, all read the same panels of b. The blocks are the same for any number of threads.
constexpr Product threaded = by_panels<true>;

// A rung as a function from Python: c is new, a and b are where NumPy has them. (One that is not in C order is copied;
// the backend's `matmul` walks it as it lies.)
template <Product product>
py::object from_python(py::handle left, py::handle right) {
    const Array a = dense("ladder", "a", left, Type::f32, {-1, -1});
    const Array b = dense("ladder", "b", right, Type::f32, {a.shape[1], -1});
    Array c = empty(Type::f32, {a.shape[0], b.shape[1]});
    const Unlocked unlocked(a.size() * b.shape[1]);
    product(a.at<float>(), b.at<float>(), c.at<float>(), a.shape[0], b.shape[1], a.shape[1]);
    return std::move(c.owner);  // no new reference, for which the GIL would be needed
}

}  // namespace

void bind_ladder(py::module_& module) {
    const auto rung = [&](const char* name, auto function, const char* doc) {
        module.def(name, function, py::arg("a"), py::arg("b"), doc);
    };
    rung("ladder_naive", &from_python<naive>, "a @ b of float32 matrices, as the formula reads.");
    rung("ladder_reordered", &from_python<reordered>, "a @ b, row by row.");
    rung("ladder_blocked", &from_python<blocked>, "a @ b, a block of b after the other.");
    rung("ladder_vectorised", &from_python<vectorised>, "a @ b, a tile of the result in registers.");
    rung("ladder_packed", &from_python<packed>, "a @ b, tiles that read packed panels.");
    rung("ladder_threaded", &from_python<threaded>, "a @ b, packed panels, on all threads.");
    module.attr("LADDER_TILE") = py::make_tuple(kRows, kColumns);
}

}  // namespace tg
